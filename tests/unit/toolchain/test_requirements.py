"""Every import is pinned in the requirements: a package installed by hand is missing elsewhere."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IN_IMAGES_ONLY = {"vllm", "mounted"}
"""Imported by programs that run inside a container, whose image brings them."""
PROGRAM = [ROOT / "__main__.py", ROOT / "components", ROOT / "policies", ROOT / "stacks"]
EVERYTHING = [*PROGRAM, *(ROOT / name for name in ("apps", "benchmarks", "tests", "toolchain"))]


def _sources(roots: list[Path]) -> list[Path]:
    return sorted(file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py")))


def _own() -> set[str]:
    """Names of the modules and packages of this repository."""
    return {file.stem for file in _sources(EVERYTHING)} | {
        folder.name for file in _sources(EVERYTHING) for folder in file.relative_to(ROOT).parents
    }


def _imported(files: list[Path]) -> dict[str, Path]:
    """First part of every imported name, with one file that imports it."""
    found: dict[str, Path] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            else:
                continue
            found.update({name.split(".")[0]: file for name in names})
    return found


def _pinned(file: str) -> set[str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("requirements", "roots"), [("requirements.txt", PROGRAM), ("requirements-dev.txt", EVERYTHING)]
)
def test_every_import_is_pinned(requirements: str, roots: list[Path]) -> None:
    pinned, distributions = _pinned(requirements), packages_distributions()
    known = set(sys.stdlib_module_names) | _own() | IN_IMAGES_ONLY
    missing = {
        name: str(file.relative_to(ROOT))
        for name, file in _imported(_sources(roots)).items()
        if name not in known and not pinned & {_normal(found) for found in distributions.get(name, [])}
    }
    assert missing == {}
