"""What the tests share: a model's files, and the command line against one store and one source."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from weights.cli import main
from weights.sums import Manifest

APP = Path(__file__).resolve().parent.parent
NAME = "tiny"
BIG = "model-00001-of-00002.safetensors"
NETWORK_KINDS = ("https", "s3", "gcs", "huggingface")
SECRET = "hf_CanarySecret0123456789"


def sums_of(files: dict[str, bytes]) -> Manifest:
    """The manifest of files given by content."""
    return Manifest.of((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())


def write(root: Path, files: dict[str, bytes]) -> None:
    """Writes files below `root`."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def read(root: Path) -> dict[str, bytes]:
    """All files below `root`."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


class Cli:
    """`python -m weights` against one store and one source.

    Attributes:
        source: settings of the source; the directory `origin` by default.
        origin: that directory, with the model in it.
        store: the store.
    """

    def __init__(self, root: Path, files: dict[str, bytes]) -> None:
        self.origin, self.store = root / "origin", root / "store"
        self.sums, self.termination_log = root / "SHA256SUMS", root / "termination-log"
        self.store.mkdir()
        self.termination_log.touch()
        write(self.origin, files)
        self.source: dict[str, str] = {"kind": "file", "path": str(self.origin)}
        self.pin(files)

    def pin(self, files: dict[str, bytes]) -> None:
        """Pins other content."""
        self.manifest = sums_of(files)
        self.sums.write_text(self.manifest.canonical)

    @property
    def published(self) -> Path:
        """Directory of the pinned version."""
        return self.store / NAME / self.manifest.digest

    @property
    def staging(self) -> Path:
        """Its staging area."""
        return self.store / ".staging" / NAME / self.manifest.digest

    def fetch_arguments(self, *more: str) -> list[str]:
        """The command line of a fetch."""
        return [
            *("fetch", "--source-json", json.dumps(self.source), "--sums", str(self.sums)),
            *("--store", str(self.store), "--name", NAME, *more),
        ]

    def fetch(self, *more: str) -> int:
        """Runs a fetch in this process."""
        return main(self.fetch_arguments(*more), self.termination_log)

    def verify(self, path: Path | None = None) -> int:
        """Runs a verification in this process."""
        return main(
            ["verify", "--sums", str(self.sums), "--path", str(path or self.published)], self.termination_log
        )

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Starts a fetch in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "weights", *self.fetch_arguments(*more)],
            env={**os.environ, "PYTHONPATH": str(APP)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def staged_bytes(self) -> int:
        """Bytes that have arrived in the staging area."""
        return sum(path.stat().st_size for path in self.staging.rglob("*") if path.is_file())
