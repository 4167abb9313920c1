"""Every test works in a `.toolchain` of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import paths

_BELOW = {
    "BIN": "bin",
    "ARTEFACTS": "artefacts",
    "DOWNLOADS": "downloads",
    "VENV": "venv",
    "PULUMI_HOME": "pulumi-home",
    "PLAN_HOME": "plan-home",
    "BACKEND": "backend",
    "PASSPHRASE_FILE": "passphrase",
    "LOGS": "logs",
    "KUBECONFIG": "kubeconfig",
    "ENV_FILE": "env",
    "EXAMPLES": "examples",
    "LOCKS": "locks",
}


@pytest.fixture(autouse=True)
def private_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / ".toolchain"
    monkeypatch.setattr(paths, "TOOLCHAIN", root)
    for name, below in _BELOW.items():
        monkeypatch.setattr(paths, name, root / below)
    return root
