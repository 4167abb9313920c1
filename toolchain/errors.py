"""Errors that a user can act on."""

from __future__ import annotations


class ToolchainError(Exception):
    """Something the user can put right.

    The message names what is wrong, the value seen and the way out; the command line prints it without a
    traceback and exits with status 1.
    """
