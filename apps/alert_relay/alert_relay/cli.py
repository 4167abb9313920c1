"""Command line of the container."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from alert_relay import dingtalk
from alert_relay.server import Relay, Server


def _endpoint(text: str) -> str:
    """An address of robots: https, or http on this machine, for tests."""
    address = urlsplit(text)
    if address.scheme == "https" and address.hostname:
        return text
    if address.scheme == "http" and address.hostname and _is_loopback(address.hostname):
        return text
    raise argparse.ArgumentTypeError(f"{text!r}: must be an https address: it carries the robot's token")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="alert_relay", description=__doc__)
    parser.add_argument("--listen", default="0.0.0.0", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8060, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--robots",
        type=Path,
        default=Path("/etc/alert-relay/robots"),
        help="folder with a folder for each robot: access-token and signing-secret (%(default)s)",
    )
    parser.add_argument("--endpoint", type=_endpoint, default=dingtalk.ENDPOINT, help="of DingTalk")
    options = parser.parse_args(arguments)
    server = Server((options.listen, options.port), Relay(options.robots, options.endpoint))

    def stop(_: int, __: FrameType | None) -> None:
        # Not from this thread, which is the one that serves.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"alert-relay: listens on {options.listen}:{server.server_port}", file=sys.stderr, flush=True)
    with server:
        server.serve_forever()
    return 0
