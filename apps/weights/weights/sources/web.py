"""HTTP as the https and huggingface sources need it: ranged, verified, never downgraded."""

import ssl
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from weights.errors import Refused, Transient
from weights.redact import describe
from weights.sources.base import CHUNK_BYTES, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, Sink
from weights.sources.settings import is_loopback

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Head:
    """What a server says of a file: its size in bytes and a strong validator, each None when it does not
    tell.
    """

    size_bytes: int | None
    validator: str | None


class WebClient:
    """One connection pool with certificate verification; credentials go to the first host only, not where it
    redirects.

    Certificates are checked against the system's and `SSL_CERT_FILE`.

    Args:
        headers: sent with every request to the first host.
        credentials: how access is granted, for the reason of a refusal (`HF_TOKEN`).
    """

    def __init__(self, headers: dict[str, str], credentials: str) -> None:
        self._credentials = credentials
        self._client = httpx2.Client(
            # Compressed answers have no ranges, and checksums are over the plain bytes.
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS),
            follow_redirects=True,
            max_redirects=_MOST_REDIRECTS,
            event_hooks={"request": [_refuse_plain_http]},
        )

    def head(self, url: str, subject: str) -> Head | None:
        """What the server says of `url` without sending it; None when it has no such file."""
        try:
            response = self._client.head(url)
        except httpx2.HTTPError as error:
            raise _failure(error) from None
        if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return None
        if response.status_code in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
            return Head(None, None)
        self._check(response, subject)
        length = response.headers.get("Content-Length", "")
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        return Head(int(length) if length.isdigit() and not encoded else None, _validator(response))

    def read(self, url: str, subject: str, offset: int, validator: str | None, sink: Sink) -> None:
        """Writes `url` from `offset` on to `sink`; from the beginning when the server ignores ranges or the
        file changed.
        """
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator is not None:
                headers["If-Range"] = validator
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    if response.headers.get("Content-Range", "") == f"bytes */{offset}":
                        return  # everything had arrived
                    sink.restart()
                    raise Transient("the file became shorter at the source")
                self._check(response, subject)
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise Refused(subject, "the server compresses it although asked not to")
                if offset and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    sink.restart()
                elif offset and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                    sink.restart()
                    raise Transient("the server sent another range than asked for")
                for chunk in response.iter_raw(CHUNK_BYTES):
                    sink.write(chunk)
        except httpx2.HTTPError as error:
            raise _failure(error) from None

    def _check(self, response: httpx2.Response, subject: str) -> None:
        status = response.status_code
        if response.is_success:
            return
        name = f"{status} {HTTPStatus(status).phrase}" if status in list(HTTPStatus) else str(status)
        if status in _RETRIED:
            raise Transient(f"the server answers {name}")
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise Refused(subject, "is missing at the source")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Refused(subject, f"the server answers {name}; check {self._credentials}")
        raise Refused(subject, f"the server answers {name}")


def _validator(response: httpx2.Response) -> str | None:
    etag = response.headers.get("ETag")
    # Weak tags do not promise the same bytes, and If-Range must not carry them (RFC 9110, 13.1.5).
    if etag is not None and not etag.startswith("W/"):
        return str(etag)
    modified = response.headers.get("Last-Modified")
    return None if modified is None else str(modified)


def _refuse_plain_http(request: httpx2.Request) -> None:
    if request.url.scheme != "https" and not is_loopback(request.url.host):
        raise Refused(
            "source", f"redirects to {request.url.scheme}://{request.url.host}; only https is followed"
        )


def _failure(error: httpx2.HTTPError) -> Refused | Transient:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused("source", f"its certificate is not trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.TooManyRedirects):
        return Refused("source", f"redirects more than {_MOST_REDIRECTS} times")
    return Transient(describe(error))
