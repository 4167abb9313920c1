"""`SHA256SUMS`: the pinned list of files of one model version.

The format is that of coreutils `sha256sum` in text mode: 64 lowercase hexadecimal digits, two spaces, a path
relative to the model's directory. Sorted by path (by code point, which is also the order of the UTF-8 bytes,
`LC_ALL=C sort`), one line each ended by a line feed, it is canonical, and the SHA-256 of the canonical text
names the version.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from weights.errors import Refused

SUBJECT = "SHA256SUMS"

IGNORED_AT_SOURCE = frozenset({"SHA256SUMS", "SHA256SUMS.sig", ".gitattributes"})
"""The only files that a source may hold at its top without their being pinned. They are not downloaded."""

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
"""Serialisations that run code when they are loaded. Safetensors replaces all of them."""

_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<path>[^ *].*)")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_LONGEST_NAME_BYTES = 255  # NAME_MAX of every file system that a volume may have
_LONGEST_PATH_BYTES = 1024  # S3's limit for a key
_LONGEST_TEXT_BYTES = 1024 * 1024  # a ConfigMap holds no more


@dataclass(frozen=True)
class Manifest:
    """The files of one version.

    Attributes:
        files: path → SHA-256 as 64 lowercase hexadecimal digits, sorted by path.
    """

    files: MappingProxyType[str, str]

    @classmethod
    def of(cls, files: Iterable[tuple[str, str]]) -> "Manifest":
        """A manifest of (path, sha256) pairs; refuses what `parse` refuses."""
        return parse("".join(f"{sha256}  {path}\n" for path, sha256 in files))

    @property
    def canonical(self) -> str:
        """The canonical text."""
        return "".join(f"{sha256}  {path}\n" for path, sha256 in self.files.items())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text: the version's name in the store."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()


def parse(text: str) -> Manifest:
    """Reads a `SHA256SUMS` text.

    Raises:
        Refused: malformed line, uppercase digits, unsafe or duplicate path, pickled weights, or no line at
            all.
    """
    if len(text.encode("utf-8", "surrogatepass")) > _LONGEST_TEXT_BYTES:
        raise Refused(SUBJECT, f"is larger than {_LONGEST_TEXT_BYTES} bytes")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise Refused(SUBJECT, "lists no file; write it with `sha256sum` over every file of the model")
    files: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        path, sha256 = _parse_line(number, line)
        if path in files:
            raise Refused(SUBJECT, f"line {number}: {path!r} is listed twice")
        files[path] = sha256
    directories = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    for path in files:
        if path in directories:
            raise Refused(SUBJECT, f"{path!r} is listed as a file and used as a directory")
    return Manifest(MappingProxyType(dict(sorted(files.items()))))


def _parse_line(number: int, line: str) -> tuple[str, str]:
    where = f"line {number}"
    match = _LINE.fullmatch(line)
    if match is None:
        raise Refused(SUBJECT, f"{where}: {_what_is_wrong(line)}")
    path = match["path"]
    reason = unsafe(path)
    if reason is not None:
        raise Refused(SUBJECT, f"{where}: {path!r} {reason}")
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        raise Refused(path, f"pickled weights ({suffix}) run code when loaded; publish safetensors instead")
    return path, match["sha256"]


def _what_is_wrong(line: str) -> str:
    if not line.strip():
        return "is empty"
    if line.endswith("\r"):
        return "ends with a carriage return; use line feeds"
    digest, _, rest = line.partition(" ")
    if not _HEX.fullmatch(digest) or len(digest) != 64:
        return f"a checksum is 64 hexadecimal digits, found {digest[:72]!r}"
    if digest != digest.lower():
        return "the checksum must be in lowercase"
    if rest.startswith("*"):
        return "is in binary mode; write it with `sha256sum` without --binary"
    return "expected `<64 hexadecimal digits>  <path>` with two spaces between"


def unsafe(path: str) -> str | None:
    """Why `path` may not name a file of a model, or None when it may."""
    if not path.isprintable():
        return "has a control or unprintable character"
    if "\\" in path:
        return "has a backslash"
    if path.startswith("/"):
        return "is an absolute path"
    parts = path.split("/")
    if ".." in parts:
        return "leaves the model's directory (`..`)"
    if "" in parts or "." in parts:
        return "is not in its plain form (drop `./`, `//` and a final `/`)"
    if len(path.encode()) > _LONGEST_PATH_BYTES:
        return f"is longer than {_LONGEST_PATH_BYTES} bytes"
    if any(len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
        return f"has a name longer than {_LONGEST_NAME_BYTES} bytes"
    return None
