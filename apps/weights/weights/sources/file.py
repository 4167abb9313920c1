"""A directory of a mounted volume."""

import os
from collections.abc import Collection
from pathlib import Path

from weights.errors import Refused, Transient
from weights.hashing import open_regular
from weights.sources.base import CHUNK_BYTES, Inventory, RemoteFile, Sink
from weights.sources.settings import FileSettings
from weights.tree import regular_files


class FileSource:
    """The files below one directory, none of them a symbolic link."""

    def __init__(self, settings: FileSettings) -> None:
        self._root = Path(settings.path)

    def inventory(self, paths: Collection[str]) -> Inventory:
        """Lists the directory; a symbolic link anywhere below it is refused."""
        if not self._root.is_dir():
            raise Refused("source", f"no directory {self._root}; is the volume mounted there?")
        files = {
            path: RemoteFile(path, status.st_size, f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}")
            for path, status in regular_files(self._root).items()
        }
        return Inventory(files, complete=True)

    def read(self, remote: RemoteFile, offset: int, sink: Sink) -> None:
        """Copies from `offset` on."""
        descriptor = open_regular(self._root / remote.path, remote.path)
        try:
            os.posix_fadvise(descriptor, offset, 0, os.POSIX_FADV_SEQUENTIAL)
            while True:
                try:
                    block = os.pread(descriptor, CHUNK_BYTES, offset)
                except OSError as error:  # such as ESTALE or EIO of a network volume
                    raise Transient(f"cannot be read: {error.strerror}") from None
                if not block:
                    return
                offset += sink.write(block)
        finally:
            os.close(descriptor)
