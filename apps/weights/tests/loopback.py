"""A web server on loopback: what the sources need of S3, Cloud Storage, the Hugging Face hub and plain HTTP.

It serves one dictionary of files through all four, and can break in the ways that real ones do.
"""

import hashlib
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

REVISION = "0123456789abcdef0123456789abcdef01234567"
PREFIX = "models/tiny"
_PAUSE_SECONDS = 30.0


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class Loopback:
    """The server's content, faults and record.

    Attributes:
        files: what it serves.
        address: `http://127.0.0.1:<port>`.
        cut_after: path → bytes after which the connection is closed, once for each entry of the list.
        pause_after: path → bytes after which the answer stalls until `resume` is set.
        answers: path → statuses given instead of the file, one for each request.
        redirect_to: address that files of the hub are redirected to, as its content delivery network does.
        claimed: path → checksum that the hub claims instead of the true one.
        ranges: whether ranges are served.
        requests: everything asked so far.
    """

    files: dict[str, bytes]
    address: str = ""
    cut_after: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    pause_after: dict[str, int] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    redirect_to: str | None = None
    claimed: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    requests: list[Request] = field(default_factory=list)
    resume: threading.Event = field(default_factory=threading.Event)

    def downloads(self, path: str) -> list[Request]:
        """The requests for the content of one file."""
        return [
            request
            for request in self.requests
            if request.method == "GET" and unquote(urlsplit(request.path).path).endswith("/" + path)
        ]

    def source(self, kind: str) -> dict[str, str]:
        """The settings of a source of that kind that is this server."""
        return {
            "https": {"kind": "https", "url": f"{self.address}/files/{PREFIX}"},
            "s3": {
                "kind": "s3",
                "uri": f"s3://bucket/{PREFIX}",
                "endpoint": self.address,
                "region": "us-east-1",
            },
            "gcs": {"kind": "gcs", "uri": f"gs://bucket/{PREFIX}"},
            "huggingface": {
                "kind": "huggingface",
                "repo": "org/tiny",
                "revision": REVISION,
                "endpoint": self.address,
            },
        }[kind]


@contextmanager
def serving(files: dict[str, bytes], certificate: tuple[Path, Path] | None = None) -> Iterator[Loopback]:
    """Serves `files` until the block ends; with TLS when given (certificate, key)."""
    state = Loopback(files)

    class Handler(_Handler):
        loopback = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    state.address = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.resume.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        """The token endpoint that a service account's key names."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b'{"access_token": "granted", "expires_in": 3600}', "application/json")

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.loopback.requests.append(Request(self.command, self.path, headers))
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path.startswith(f"/files/{PREFIX}/"):
            self._file(path.removeprefix(f"/files/{PREFIX}/"))
        elif path.startswith("/api/models/org/tiny/tree/"):
            self._hub_tree(path.rpartition("/")[2])
        elif path.startswith(f"/org/tiny/resolve/{REVISION}/"):
            self._hub_file(path.removeprefix(f"/org/tiny/resolve/{REVISION}/"))
        elif path == "/storage/v1/b/bucket/o":
            self._gcs_list(query["prefix"][0])
        elif path.startswith("/download/storage/v1/b/bucket/o/"):
            self._file(path.removeprefix(f"/download/storage/v1/b/bucket/o/{PREFIX}/"))
        elif path.rstrip("/") == "/bucket" and "list-type" in query:
            self._s3_list(query["prefix"][0])
        elif path.startswith(f"/bucket/{PREFIX}/"):
            self._file(path.removeprefix(f"/bucket/{PREFIX}/"))
        else:
            self._answer(404)

    def _answer(self, status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, path: str) -> None:
        state = self.loopback
        if self.command == "GET" and state.answers[path]:
            self._answer(state.answers[path].pop(0))
            return
        content = state.files.get(path)
        if content is None:
            self._answer(404)
            return
        etag = _etag(content)
        if self.headers.get("If-Match", etag) != etag:
            self._answer(412)
            return
        start, asked = 0, self.headers.get("Range")
        if asked and state.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self._answer(416, Content_Range=f"bytes */{len(content)}")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        if self.command == "GET":
            self._send(path, content, start)

    def _send(self, path: str, content: bytes, start: int) -> None:
        state = self.loopback
        end = len(content)
        if state.cut_after[path]:
            end = min(end, start + state.cut_after[path].pop(0))
        pause = state.pause_after.get(path)
        try:
            if pause is not None and start < pause < end:
                self.wfile.write(content[start:pause])
                self.wfile.flush()
                state.resume.wait(_PAUSE_SECONDS)
                start = pause
            self.wfile.write(content[start:end])
            self.wfile.flush()
        except OSError:
            pass  # the client died, as some tests want it to
        if end < len(content):
            self.close_connection = True

    def _hub_tree(self, revision: str) -> None:
        if revision != REVISION:
            self._answer(404, X_Error_Code="RevisionNotFound")
            return
        tree: list[dict[str, object]] = [{"type": "directory", "path": "sub", "oid": "0" * 40, "size": 0}]
        for path, content in self.loopback.files.items():
            sha256 = self.loopback.claimed.get(path, hashlib.sha256(content).hexdigest())
            entry: dict[str, object] = {
                "type": "file",
                "path": path,
                "size": len(content),
                "oid": sha256[:40],
            }
            if path.endswith(".safetensors"):
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            tree.append(entry)
        self._answer(200, json.dumps(tree).encode(), "application/json")

    def _hub_file(self, path: str) -> None:
        if self.loopback.redirect_to is None:
            self._file(path)
        else:
            signed = f"{self.loopback.redirect_to}/files/{PREFIX}/{quote(path)}?X-Signature=presigned-canary"
            self._answer(302, Location=signed)

    def _gcs_list(self, prefix: str) -> None:
        items = [
            {"name": f"{PREFIX}/{path}", "size": str(len(content)), "generation": str(_generation(content))}
            for path, content in self.loopback.files.items()
            if f"{PREFIX}/{path}".startswith(prefix)
        ]
        self._answer(
            200, json.dumps({"kind": "storage#objects", "items": items}).encode(), "application/json"
        )

    def _s3_list(self, prefix: str) -> None:
        items = "".join(
            f"<Contents><Key>{escape(f'{PREFIX}/{path}')}</Key><Size>{len(content)}</Size>"
            f"<ETag>{escape(_etag(content))}</ETag></Contents>"
            for path, content in self.loopback.files.items()
            if f"{PREFIX}/{path}".startswith(prefix)
        )
        marker = f"<Contents><Key>{PREFIX}/</Key><Size>0</Size><ETag>x</ETag></Contents>"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>false</IsTruncated>{marker}{items}</ListBucketResult>"
        )
        self._answer(200, body.encode(), "application/xml")


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _generation(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:6], "big")
