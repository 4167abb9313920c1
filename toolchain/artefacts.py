"""Built things, each in ``.toolchain/artefacts/<name>/<key>/``.

The key is a digest of everything that went into the thing, so nothing is rebuilt without cause and nothing
stale is used. A thing appears by rename: it is complete or absent, whatever happens in between.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolchain import paths

KEY_LENGTH: Final = 24
"""Hex digits of a key: 96 bits, short enough for a path."""

_IGNORED: Final = {"__pycache__"}


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock that excludes other threads and processes of this checkout; freed when its holder dies."""
    paths.LOCKS.mkdir(parents=True, exist_ok=True)
    with (paths.LOCKS / f"{name.replace('/', '_')}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def path_of(name: str, key: str) -> Path:
    """Where the artefact is, or would be."""
    return paths.ARTEFACTS / name / key


def ensure(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """The artefact's directory, built now if it is missing.

    :param name: what it is; a path component or several.
    :param key: see :func:`digest`.
    :param build: fills the empty directory it is given; if it raises, nothing is kept.
    """
    final = path_of(name, key)
    if final.is_dir():
        return final
    with lock(f"artefact-{name}"):
        if final.is_dir():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=final.parent))
        try:
            staging.chmod(0o755)
            build(staging)
            os.rename(staging, final)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return final


def digest(*parts: str | bytes | Path) -> str:
    """A key over strings, bytes, files and directory trees, by content and relative name."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            _add_path(total, part)
        else:
            _add(total, b"data", part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:KEY_LENGTH]


def sha256_file(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _add(total: hashlib._Hash, *fields: bytes) -> None:
    for field in fields:
        total.update(len(field).to_bytes(8, "big"))
        total.update(field)


def _add_path(total: hashlib._Hash, path: Path) -> None:
    if path.is_symlink():
        _add(total, b"link", os.readlink(path).encode())
    elif path.is_dir():
        _add(total, b"tree")
        for child in sorted(path.iterdir()):
            if child.name not in _IGNORED:
                _add(total, child.name.encode())
                _add_path(total, child)
        _add(total, b"end")
    else:
        _add(total, b"file", sha256_file(path).encode())
