"""Command line of the container."""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from log_setup.client import Api
from log_setup.errors import SetupError
from log_setup.setup import read_documents, set_up


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up what the documents say; 0 when everything is, 1 with the reason otherwise."""
    parser = argparse.ArgumentParser(prog="log_setup", description=__doc__)
    parser.add_argument("--documents", type=Path, required=True, help="folder with what is to be set up")
    parser.add_argument("--user", default="elastic", help="(%(default)s)")
    parser.add_argument("--password-file", type=Path, required=True, help="file with the user's password")
    for name in ("elasticsearch", "kibana"):
        parser.add_argument(f"--{name}", required=True, help=f"base URL of {name.title()}")
        parser.add_argument(f"--{name}-ca", type=Path, help="who signs its certificate; needed for https")
    parser.add_argument("--patience", type=float, default=900, help="seconds in all (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        documents = read_documents(options.documents)
        password = options.password_file.read_text(encoding="utf-8").strip()
        elasticsearch = _api(options.elasticsearch, options.elasticsearch_ca, options.user, password)
        kibana = _api(options.kibana, options.kibana_ca, options.user, password)
        for done in set_up(documents, elasticsearch, kibana, time.monotonic() + options.patience):
            print(f"log-setup: {done}", flush=True)
    except (SetupError, OSError) as error:
        print(f"log-setup: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _api(address: str, authority: Path | None, user: str, password: str) -> Api:
    trust = ssl.create_default_context(cafile=authority) if authority is not None else None
    return Api(address.rstrip("/"), user, password, trust)
