"""Calls of an HTTP API that may not be up yet."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from log_setup.errors import Refused, Unavailable

CALL_SECONDS: Final = 30
RETRIED: Final = frozenset({404, 429, 500, 502, 503, 504})
"""Statuses after which a call is made again. 404 is what Kibana answers while its plugins start."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
_SHOWN: Final = 300


@dataclass(frozen=True)
class Answer:
    """What an API answered, with success."""

    status: int
    document: Any


@dataclass(frozen=True)
class Api:
    """Elasticsearch's or Kibana's."""

    address: str
    """Base URL."""
    user: str
    password: str = field(repr=False)
    trust: ssl.SSLContext | None = None
    """Who signs its certificate; None for plain HTTP, in tests."""

    def call(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Once.

        :raises Refused: the answer is an error that stays one.
        :raises Unavailable: no answer, or an error that may pass.
        """
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            self.address + path,
            data=body,
            method=method,
            headers={
                "Authorization": f"Basic {credentials}",
                "Content-Type": content_type,
                **(headers or {}),
            },
        )
        where = f"{method} {self.address}{path}"
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS, context=self.trust) as response:
                text = response.read()
                return Answer(response.status, json.loads(text) if text else None)
        except urllib.error.HTTPError as error:
            reason = error.read(_SHOWN).decode(errors="replace").strip()
            failure = Unavailable if error.code in RETRIED else Refused
            raise failure(f"{where}: status {error.code}: {reason}") from None
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"{where}: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{where}: {error}") from None
        except json.JSONDecodeError:
            raise Refused(f"{where}: the answer is no JSON") from None


def patiently(
    call: Callable[[], Answer],
    deadline: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """The answer of a call that is made again until `deadline`, on the clock.

    :raises Refused: as the call does.
    :raises Unavailable: the deadline has passed.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return call()
        except Unavailable:
            if clock() + pause > deadline:
                raise
        sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
