"""Calls of HTTP APIs: bounded in time and size, tried again where that can help."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from trend_report.errors import Refused, Unreachable

TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 4
MAXIMUM_BYTES: Final = 32 * 1024 * 1024
_SHOWN: Final = 300
"""Characters of a server's own words that are repeated."""
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

Wait = Callable[[float], None]


def addresses(urls: Sequence[str]) -> list[str]:
    """The URLs with every address that their names have: a headless Service names all its pods.

    https keeps the name, which the certificate is for.
    """
    found: dict[str, None] = {}
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme == "https":
            found[url] = None
            continue
        try:
            infos = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
        except OSError:
            # Whoever calls it reports that it cannot be reached.
            found[url] = None
            continue
        for info in infos:
            host, port = str(info[4][0]), int(info[4][1])
            shown = f"[{host}]" if ":" in host else host
            found[f"http://{shown}:{port}{parts.path}"] = None
    return list(found)


def post(url: str, body: bytes, kind: str, *, attempts: int = ATTEMPTS, wait: Wait = time.sleep) -> bytes:
    """What the server answers.

    :param kind: media type of the body.
    :raises Unreachable: no answer after so many attempts, or one that asks to come back later.
    :raises Refused: the server does not take it.
    """
    for attempt in range(1, attempts + 1):
        try:
            return _once(url, body, kind)
        except Unreachable:
            if attempt == attempts:
                raise
            wait(2.0 ** (attempt - 1))
    raise AssertionError("no attempt was made")


def _once(url: str, body: bytes, kind: str) -> bytes:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind}, method="POST")
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            text: bytes = response.read(MAXIMUM_BYTES + 1)
    except urllib.error.HTTPError as error:
        said = _words(error)
        if error.code in _AGAIN:
            raise Unreachable(f"{url}: answers {error.code}: {said}") from error
        raise Refused(f"{url}: answers {error.code}: {said}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}"
        ) from error
    if len(text) > MAXIMUM_BYTES:
        raise Refused(f"{url}: the answer is larger than {MAXIMUM_BYTES // 2**20} MiB")
    return text


def _words(error: urllib.error.HTTPError) -> str:
    """The server's own, as far as they are needed."""
    try:
        text = error.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return str(error.reason)
    try:
        document: Any = json.loads(text)
    except ValueError:
        return text[:_SHOWN]
    if isinstance(document, Mapping) and isinstance(document.get("error"), str):
        return str(document["error"])[:_SHOWN]
    return text[:_SHOWN]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Neither API redirects; what does is something else."""
        return None


# Within the cluster, never through a proxy.
_OPENER: Final = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
