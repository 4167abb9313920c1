"""A directory of a web server."""

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from weights.sources.base import Inventory, RemoteFile, Sink
from weights.sources.settings import HttpsSettings
from weights.sources.web import WebClient

AUTHORIZATION = "WEIGHTS_HTTPS_AUTHORIZATION"
_REQUESTS_AT_ONCE = 8


class HttpsSource:
    """Downloads the pinned files below one address. The server is not listed."""

    def __init__(self, settings: HttpsSettings) -> None:
        authorization = os.environ.get(AUTHORIZATION)
        self._base = settings.url
        self._web = WebClient({"Authorization": authorization} if authorization else {}, AUTHORIZATION)

    def inventory(self, paths: Collection[str]) -> Inventory:
        """Asks for the size and validator of every pinned file."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="head") as pool:
            heads = pool.map(lambda path: self._web.head(self._url(path), path), paths)
            files = {
                path: RemoteFile(path, head.size_bytes, head.validator)
                for path, head in zip(paths, heads, strict=True)
                if head is not None
            }
        return Inventory(files, complete=False)

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """One GET, with Range and If-Range when resuming."""
        self._web.read(self._url(remote.path), remote.path, offset, remote.validator, sink)

    def _url(self, path: str) -> str:
        return f"{self._base}/{quote(path)}"
