"""Why a message has not been passed on."""


class RelayError(Exception):
    """The message never holds a token or a secret."""


class Malformed(RelayError):
    """Not what Alertmanager sends: trying again would not help."""


class UnknownRobot(RelayError):
    """There are no credentials of that name."""


class Undelivered(RelayError):
    """DingTalk did not take it: Alertmanager shall try again."""
