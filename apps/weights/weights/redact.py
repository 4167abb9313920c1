"""Keeps secrets out of everything that is printed."""

import os
import re
from collections.abc import Mapping

_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#'\"<>]*)\?[^\s'\"<>]*", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|AUTHORIZATION|CREDENTIALS", re.IGNORECASE)
_SHORTEST_SECRET = 6
_LONGEST_LINE = 1000


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` as one printable line without user info, query strings (presigned addresses) or secrets from the
    environment.

    Args:
        text: any text, such as the message of a library's exception.
        environment: where secrets are looked up by the name of their variable; the process's own by default.
    """
    values = os.environ if environment is None else environment
    secrets = [
        value
        for name, value in values.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    ]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    text = _USER_INFO.sub(r"\1", text)
    text = _QUERY.sub(r"\1?[redacted]", text)
    text = _BEARER.sub(r"\1 [redacted]", text)
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def describe(error: BaseException) -> str:
    """A library's exception in one short, redacted line: its type and the first 200 characters of its
    message.
    """
    message = redact(str(error))[:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
