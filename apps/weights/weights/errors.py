"""The three ways in which work on weights ends early."""


class Refused(Exception):
    """Final: the version is not, or cannot be, what was pinned. Becomes the one-line reason of the failed
    Job.

    Args:
        subject: file that was refused (relative path), or `SHA256SUMS`, `source`, `store`, `arguments`,
            `fetch`.
        reason: what was seen, and where it helps, what to do; one line, without secrets.
    """

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject}: {reason}")
        self.subject = subject
        self.reason = reason


class Transient(Exception):
    """Worth another attempt: a broken connection, a time-out, an overloaded server. What has arrived is
    kept.
    """


class Stopped(Exception):
    """Another file failed, so this one gives up at a chunk boundary. What has arrived is kept."""
