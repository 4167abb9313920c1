"""Fixtures of the weights app's tests."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

for directory in (Path(__file__).resolve().parent, Path(__file__).resolve().parent.parent):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

from loopback import Loopback, serving  # noqa: E402
from support import SECRET, Cli  # noqa: E402


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


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A loopback server with the model; also what the Cloud Storage client takes for its emulator."""
    with serving(dict(files)) as loopback:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", loopback.address)
        yield loopback


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
