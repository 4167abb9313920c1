"""What ends a command, and what makes a line unreadable."""

from __future__ import annotations


class Refused(Exception):
    """The work cannot be done; the message names what and the fix."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")


class Unreadable(Exception):
    """A line is not what its source writes; the message says why, without repeating the line."""


class Malformed(Exception):
    """A whole batch is none; asking again would not help. The message says why, without repeating it."""


class Unavailable(Exception):
    """Nothing can be written now; whoever sent it is to keep it and to come again."""
