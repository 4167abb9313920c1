"""A custom robot of a DingTalk group.

The signature: HMAC-SHA256 over the time in milliseconds, a line feed and the secret, keyed with the secret,
Base64 (open.dingtalk.com, "Custom robot: secure access"). DingTalk refuses one that is more than an hour old.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alert_relay.errors import Undelivered, UnknownRobot

ENDPOINT: Final = "https://oapi.dingtalk.com/robot/send"
TIMEOUT_SECONDS: Final = 8.0
"""Alertmanager gives a webhook ten seconds unless told otherwise."""
_ROBOT: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_MAXIMUM_ANSWER: Final = 64 * 1024


def signature(secret: str, timestamp: int) -> str:
    """Signature of a moment, given in milliseconds since the epoch; still to be quoted for a URL."""
    text = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


@dataclass(frozen=True)
class Robot:
    """Credentials of one robot, as its Secret is mounted: they are read anew for each message."""

    name: str
    folder: Path

    @classmethod
    def find(cls, robots: Path, name: str) -> Robot:
        """:raises UnknownRobot: there is no folder of that name with both files."""
        folder = robots / name
        if not _ROBOT.fullmatch(name) or not folder.is_dir():
            raise UnknownRobot(f"robot {name[:63]!r}: has no credentials here")
        return cls(name, folder)

    def address(self, endpoint: str, timestamp: int) -> str:
        """Where a message goes at that moment, signed.

        :raises UnknownRobot: a file is missing or empty.
        """
        query = {
            "access_token": self._read("access-token"),
            "timestamp": str(timestamp),
            "sign": signature(self._read("signing-secret"), timestamp),
        }
        return f"{endpoint}?{urllib.parse.urlencode(query)}"

    def _read(self, key: str) -> str:
        try:
            text = (self.folder / key).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UnknownRobot(f"robot {self.name!r}: {key} cannot be read") from error
        if not text:
            raise UnknownRobot(f"robot {self.name!r}: {key} is empty")
        return text


def send(robot: Robot, body: dict[str, Any], *, endpoint: str, timestamp: int) -> None:
    """Give a robot a message.

    :raises Undelivered: DingTalk was not reached, or refused it.
    :raises UnknownRobot: the robot's credentials cannot be read.
    """
    request = urllib.request.Request(
        robot.address(endpoint, timestamp),
        data=json.dumps(body, ensure_ascii=False).encode(),
        headers={"Content-Type": "application/json; charset=utf-8"},
        method="POST",
    )
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            text = response.read(_MAXIMUM_ANSWER)
    except urllib.error.HTTPError as error:
        raise Undelivered(f"robot {robot.name!r}: DingTalk answers {error.code}") from None
    except (OSError, ValueError) as error:
        # The error's own text can hold the address, and with it the token.
        reason = getattr(error, "reason", error)
        raise Undelivered(f"robot {robot.name!r}: no answer ({type(reason).__name__})") from None
    _check(robot, text)


def _check(robot: Robot, text: bytes) -> None:
    """DingTalk answers 200 whatever happens; what counts is `errcode`."""
    try:
        answer = json.loads(text)
        code, reason = int(answer["errcode"]), str(answer.get("errmsg", ""))
    except (ValueError, KeyError, TypeError):
        raise Undelivered(f"robot {robot.name!r}: the answer is not DingTalk's") from None
    if code != 0:
        raise Undelivered(f"robot {robot.name!r}: refused with {code} ({reason[:200]})")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """A token is given to nobody else."""
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirects)
