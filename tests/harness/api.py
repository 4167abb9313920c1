"""A client of the OpenAI-compatible API, as plain as `curl`: no proxy, no retries."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from toolchain.example import screenshot


@dataclass(frozen=True)
class Response:
    """An HTTP response, read to its end."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def events(self) -> Iterator[str]:
        """Data of the server-sent events in the body."""
        for line in self.body.decode().splitlines():
            if line.startswith("data: "):
                yield line.removeprefix("data: ")


@dataclass(frozen=True)
class Client:
    """Of one model behind one base URL."""

    endpoint: str
    model: str

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float = 120) -> Response:
        """One request."""
        url = urlsplit(self.endpoint)
        assert url.hostname is not None
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return Response(response.status, response.getheader("Content-Type") or "", response.read())
        finally:
            connection.close()

    def chat(self, *, stream: bool = False, max_tokens: int = 16) -> Response:
        """A chat completion about a 540×1200 PNG of a phone's screen."""
        picture = base64.b64encode(screenshot()).decode("ascii")
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
            {"type": "text", "text": "Open the second entry of the list."},
        ]
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": stream,
        }
        return self.request("POST", "/v1/chat/completions", json.dumps(body).encode())

    def models(self, timeout: float = 10) -> Response:
        """The list of models."""
        return self.request("GET", "/v1/models", timeout=timeout)

    def serves(self) -> bool:
        """Whether the model is served right now."""
        try:
            response = self.models()
        except OSError:
            return False
        return response.status == 200 and self.model in [item["id"] for item in response.json()["data"]]
