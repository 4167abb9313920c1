"""Stand-ins for the APIs of DingTalk's robots and of WeCom, which check what they are sent.

They judge as the real ones do as far as their documentation says: DingTalk recomputes the signature and
refuses one that is more than an hour off; WeCom gives a token for the company's id and the application's
secret, and takes messages with that token only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_HOUR_MS = 3_600_000


@dataclass
class Chats:
    """What is known to both services, and what has arrived."""

    access_token: str
    signing_secret: str
    corp_id: str
    api_secret: str
    dingtalk: list[dict[str, Any]] = field(default_factory=list)
    wecom: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refuse_next: int = 0
    """So many messages to DingTalk are refused, as when a robot sends too fast."""
    port: int = 0

    @property
    def robots(self) -> str:
        """Address of DingTalk's robots."""
        return f"http://127.0.0.1:{self.port}/robot/send"

    @property
    def wecom_api(self) -> str:
        """Address of WeCom's API."""
        return f"http://127.0.0.1:{self.port}/cgi-bin/"

    def robot(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """DingTalk's answer to a message."""
        text = f"{query.get('timestamp')}\n{self.signing_secret}"
        digest = hmac.new(self.signing_secret.encode(), text.encode(), hashlib.sha256).digest()
        off = abs(int(query.get("timestamp") or 0) - time.time() * 1000)
        if query.get("access_token") != self.access_token:
            return self._refuse(300001, "token is not exist")
        if query.get("sign") != base64.b64encode(digest).decode() or off > _HOUR_MS:
            return self._refuse(310000, "sign not match")
        if self.refuse_next > 0:
            self.refuse_next -= 1
            return self._refuse(130101, "send too fast")
        self.dingtalk.append(body)
        return {"errcode": 0, "errmsg": "ok"}

    def token(self, query: dict[str, str]) -> dict[str, Any]:
        """WeCom's answer to who asks for a token."""
        if (query.get("corpid"), query.get("corpsecret")) != (self.corp_id, self.api_secret):
            return self._refuse(40001, "invalid credential")
        return {"errcode": 0, "errmsg": "ok", "access_token": "wecom-session", "expires_in": 7200}

    def message(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """WeCom's answer to a message."""
        if query.get("access_token") != "wecom-session":
            return self._refuse(40014, "invalid access_token")
        self.wecom.append(body)
        return {"errcode": 0, "errmsg": "ok"}

    def _refuse(self, code: int, reason: str) -> dict[str, Any]:
        self.refused.append(reason)
        return {"errcode": code, "errmsg": reason}


@contextmanager
def serve(
    chats: Chats, address: tuple[str, int] = ("127.0.0.1", 0), tls: ssl.SSLContext | None = None
) -> Iterator[Chats]:
    """Both services on one port, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            assert address.path == "/cgi-bin/gettoken"
            self._answer(chats.token(_query(address.query)))

        def do_POST(self) -> None:
            address = urlsplit(self.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            judge = {"/robot/send": chats.robot, "/cgi-bin/message/send": chats.message}[address.path]
            self._answer(judge(_query(address.query), body))

        def _answer(self, answer: dict[str, Any]) -> None:
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(address, Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        chats.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield chats
        finally:
            server.shutdown()
            thread.join()


def _query(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def main(folder: Path) -> None:
    """In a pod, over TLS: `folder` has tls.crt, tls.key and what is known to both; prints what arrives."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    chats = Chats(**json.loads((folder / "known.json").read_text(encoding="utf-8")))
    told = {"dingtalk": 0, "wecom": 0, "refused": 0}
    with serve(chats, ("0.0.0.0", 443), tls):
        while True:
            for chat, count in told.items():
                for message in getattr(chats, chat)[count:]:
                    print(json.dumps({"at": time.time(), "chat": chat, "message": message}), flush=True)
                    told[chat] += 1
            time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
