"""Why there is no report, or why it lacks something."""

from __future__ import annotations


class ReportError(Exception):
    """Told to the user as it is."""


class BadConfiguration(ReportError):
    """The configuration cannot be used; the message names key, value and fix."""


class Unreachable(ReportError):
    """Something did not answer, or not in time; trying again may help."""


class Refused(ReportError):
    """A query or message was refused; trying again does not help."""
