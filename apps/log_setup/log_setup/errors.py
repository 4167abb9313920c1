"""Why something was not set up."""


class SetupError(Exception):
    """The message names the call and what was answered, never a password."""


class Refused(SetupError):
    """Trying again would not help."""


class Unavailable(SetupError):
    """Nobody answered in time, or only with errors of their own."""
