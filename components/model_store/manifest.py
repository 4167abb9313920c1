"""SHA256SUMS manifests: the pinned content of a model, in the format of coreutils' `sha256sum`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

ANNOTATION: Final = "autoglm-platform/sha256sums"
"""Pod annotation that carries a manifest to the containers that check it. Part of the pod: going back to
an earlier version is going back to the very same pod, and no object lives or dies beside it."""
MOUNT: Final = "/etc/model"
FILE: Final = "SHA256SUMS"
MAX_BYTES: Final = 200 * 1024
"""All annotations of an object together are limited to 256 KiB (k8s.io/apimachinery/pkg/api/validation)."""

_LINE: Final = re.compile(r"(?P<digest>\S+)(?: [ *]|\s+)(?P<path>\S.*)")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
# Formats that run code when they are loaded.
_PICKLED: Final = re.compile(r"\.(bin|pt|pth|pkl|pickle|ckpt|joblib)$", re.IGNORECASE)


class ManifestError(ValueError):
    """A manifest is not acceptable; `problems` names every line, its value and the fix."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Manifest:
    """Digest of every file of one model version."""

    files: tuple[tuple[str, str], ...]
    """(relative path, lower-case hex SHA-256), sorted by path."""

    @property
    def text(self) -> str:
        """Canonical SHA256SUMS: `<64 hex>  <relative path>` lines sorted by path."""
        return "".join(f"{digest}  {path}\n" for path, digest in self.files)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the canonical text: the identity of this version of the model."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def _line_problem(number: int, digest: str, path: str, seen: set[str]) -> str | None:
    where = f"line {number}"
    if not _HEX.fullmatch(digest):
        detail = "upper-case digits" if _HEX.fullmatch(digest.lower()) else f"{len(digest)} characters"
        return f"{where}: {digest!r} ({detail}) is not 64 lower-case hex digits; copy sha256sum's line"
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts or "/".join(parts) != path or "\\" in path:
        return f"{where}: {path!r} is not a plain relative path; run sha256sum inside the model's folder"
    if path in seen:
        return f"{where}: {path!r} is listed twice; remove one"
    if _PICKLED.search(path):
        return f"{where}: {path!r} is a pickle, which runs code when loaded; publish safetensors instead"
    return None


def parse_manifest(text: str) -> Manifest:
    """Read SHA256SUMS text; raises ManifestError with every problem in it."""
    problems: list[str] = []
    files: dict[str, str] = {}
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            problems.append(
                f"line {number}: {line.strip()!r} is not '<64 hex digits>  <path>'; write sha256sum's output"
            )
            continue
        problem = _line_problem(number, match["digest"], match["path"], seen)
        if problem:
            problems.append(problem)
        seen.add(match["path"])
        files[match["path"]] = match["digest"]
    if not files and not problems:
        problems.append("no files; write the output of sha256sum over the model's folder")
    if sum(len(digest) + len(path.encode()) + 3 for path, digest in files.items()) > MAX_BYTES:
        problems.append(
            f"{len(files)} files: more than {MAX_BYTES // 1024} KiB of text; publish fewer, larger files"
        )
    if problems:
        raise ManifestError(problems)
    return Manifest(tuple(sorted(files.items())))


def _parse_any(value: Any) -> Manifest:
    if isinstance(value, Manifest):
        return value
    if not isinstance(value, str):
        raise ManifestError(
            [f"{type(value).__name__}: not a text; write '|' and the lines of sha256sum below"]
        )
    return parse_manifest(value)


ManifestText = Annotated[
    Manifest,
    BeforeValidator(_parse_any),
    PlainSerializer(lambda manifest: manifest.text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9a-f]{64} [ *].+\n?)+$"}),
]
"""SHA256SUMS text in settings."""
