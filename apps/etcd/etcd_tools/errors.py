"""Why a command ends without having done what it was asked."""


class Refused(Exception):
    """Something speaks against it, or it failed; `subject` names the member, file or argument."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.subject = subject
        self.reason = reason


class Unreachable(Refused):
    """No answer: the endpoint cannot be connected to, or did not answer in time."""


class ApiError(Refused):
    """etcd answered with an error."""

    def __init__(self, subject: str, code: int, message: str) -> None:
        super().__init__(subject, message)
        self.code = code
        """gRPC status code (google.rpc.Code)."""
        self.message = message
