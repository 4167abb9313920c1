"""What must hold for the Dockerfiles of our apps. Docker itself is needed only to build them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.common.pods import NON_ROOT_ID

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "apps").glob("*/Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions with their arguments, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            found.append((word.upper(), re.sub(r"\s+", " ", rest.strip())))
    return found


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.parent.name)
def dockerfile(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return instructions(request.param)


def test_there_are_some() -> None:
    assert ROOT / "apps" / "weights" / "Dockerfile" in DOCKERFILES


def test_the_base_comes_by_digest_from_the_settings(dockerfile: list[tuple[str, str]]) -> None:
    assert dockerfile[0] == ("ARG", "BASE")
    stages = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    assert set(stages) == {"${BASE}"}


def test_it_runs_as_the_user_that_the_pods_have(dockerfile: list[tuple[str, str]]) -> None:
    last = max(index for index, (word, _) in enumerate(dockerfile) if word == "FROM")
    assert ("USER", f"{NON_ROOT_ID}:{NON_ROOT_ID}") in dockerfile[last:]


def test_packages_are_wheels_pinned_by_hash(dockerfile: list[tuple[str, str]]) -> None:
    installs = [rest for word, rest in dockerfile if word == "RUN" and "pip install" in rest]
    assert installs
    for line in installs:
        assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(line.split())


def test_nothing_is_downloaded_or_compiled_besides(dockerfile: list[tuple[str, str]]) -> None:
    assert not [word for word, _ in dockerfile if word == "ADD"]
    runs = " ".join(rest for word, rest in dockerfile if word == "RUN")
    assert not re.search(r"\b(curl|wget|apt|apt-get|apk|gcc|make|git)\b", runs)


def test_the_final_stage_only_copies(dockerfile: list[tuple[str, str]]) -> None:
    last = max(index for index, (word, _) in enumerate(dockerfile) if word == "FROM")
    assert {word for word, _ in dockerfile[last:]} <= {"FROM", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}
