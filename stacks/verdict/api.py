"""A forge's REST interface, as far as comments need it."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPMessage
from typing import IO, Any, Final

_TIMEOUT_SECONDS: Final = 30
_PAGE: Final = 100
_MAX_PAGES: Final = 50
_MAX_BYTES: Final = 16 * 2**20
_MAX_ERROR: Final = 200


class ApiError(RuntimeError):
    """The forge refused; the message names method, path, status and its reason."""


class _OwnHostOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never takes the token to another host."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        followed = super().redirect_request(req, fp, code, msg, headers, newurl)
        if followed and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            followed.headers = {}
        return followed


class Api:
    """The interface below a base address, with a token."""

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        self._base = base.rstrip("/")
        self._headers = {"User-Agent": "autoglm-platform-verdict", **headers}
        self._opener = urllib.request.build_opener(_OwnHostOnly)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request and give the document of the answer.

        :raises ApiError: the forge refused, or cannot be reached.
        """
        content = self.content(method, path, body)
        return json.loads(content) if content else None

    def content(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Send a request and give the answer as it is."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if data else {})
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                content: bytes = answer.read(_MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            reason = error.read(_MAX_ERROR).decode(errors="replace")
            raise ApiError(f"{method} {path}: {error.code} {reason}") from None
        except OSError as error:
            raise ApiError(f"{method} {path}: {error}") from None
        if len(content) > _MAX_BYTES:
            raise ApiError(f"{method} {path}: an answer of more than {_MAX_BYTES} bytes")
        return content

    def pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Every entry of a list that comes in pages."""
        joint = "&" if "?" in path else "?"
        for page in range(1, _MAX_PAGES + 1):
            entries = self.call("GET", f"{path}{joint}per_page={_PAGE}&page={page}")
            yield from entries
            if len(entries) < _PAGE:
                return


def quoted(text: str) -> str:
    """Text as one part of a path or query."""
    return urllib.parse.quote(text, safe="")
