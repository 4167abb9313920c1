"""What the tests of the weights app share: a small model, a store, the command line."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parent.parent
for directory in (APP, APP / "tests"):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

from loopback import Loopback, serving  # noqa: E402
from weights.cli import main  # noqa: E402
from weights.sums import Manifest  # noqa: E402

NAME = "tiny"
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


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "HF_", "GOOGLE_", "WEIGHTS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def files() -> dict[str, bytes]:
    """A model: one file of some size, small ones, an empty one, a directory and a name with a space."""
    noise = random.Random(3)
    return {
        "model-00001-of-00002.safetensors": noise.randbytes(5 * 2**20 + 17),
        "model-00002-of-00002.safetensors": noise.randbytes(2**20),
        "config.json": b'{"architectures": ["Glm4vForConditionalGeneration"]}',
        "sub/chat template.jinja": b"{{ messages }}",
        "empty.txt": b"",
    }


BIG = "model-00001-of-00002.safetensors"


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A loopback server with the model; also what the Cloud Storage client takes for its emulator."""
    with serving(dict(files)) as loopback:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", loopback.address)
        yield loopback


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


@pytest.fixture
def cli(tmp_path: Path, files: dict[str, bytes]) -> Cli:
    """The command line with the model as a directory and an empty store."""
    return Cli(tmp_path, files)


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str], cli: Cli) -> Callable[[], str]:
    """The reason of the last failure: the only line on stderr, which is also the termination message."""

    def last() -> str:
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert cli.termination_log.read_text() == lines[0]
        assert lines[0].startswith("weights: refused: ")
        return lines[0].removeprefix("weights: refused: ")

    return last
