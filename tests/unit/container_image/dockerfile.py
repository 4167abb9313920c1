"""Reads our apps' Dockerfiles, and runs their steps in folders: one for each stage, no container.

It knows what these Dockerfiles use, and refuses the rest. A RUN sees the machine's own programs; the
absolute paths that it names lead into the stage's folder.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Instruction = tuple[str, str]


def instructions(path: Path) -> list[Instruction]:
    """Instructions with their arguments, continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            found.append((word.upper(), re.sub(r"\s+", " ", rest.strip())))
    return found


def stages(found: list[Instruction]) -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    starts = [index for index, (word, _) in enumerate(found) if word == "FROM"]
    return [found[start:end] for start, end in zip(starts, [*starts[1:], len(found)], strict=True)]


@dataclass
class Stage:
    """A stage's files and what it says of the process."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    directory: str = "/"

    @property
    def process(self) -> list[str]:
        """What a container without command of its own runs."""
        return self.entrypoint + self.command

    def at(self, path: str) -> Path:
        """Where an absolute path of the image lies."""
        return self.root / path.lstrip("/")


def context_files(context: Path) -> set[Path]:
    """Files that `.dockerignore` lets through, relative to the context."""
    ignored, *named = (context / ".dockerignore").read_text().split()
    assert ignored == "*"
    found: set[Path] = set()
    for line in named:
        if line == "**/__pycache__":
            found = {path for path in found if "__pycache__" not in path.parts}
            continue
        assert line.startswith("!"), line
        path = context / line[1:]
        files = path.rglob("*") if path.is_dir() else [path]
        found |= {file.relative_to(context) for file in files if file.is_file()}
    return found


def build(context: Path, images: Mapping[str, Path], scratch: Path, environment: Mapping[str, str]) -> Stage:
    """Runs all stages; the last one.

    `images`: a folder for each build argument that names an image; without one, the image is empty.
    `environment`: of the programs that RUN starts.
    """
    sent = scratch / "context"
    for path in context_files(context):
        (sent / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(context / path, sent / path)
    made: dict[str, Stage] = {}
    for index, (head, *steps) in enumerate(stages(instructions(context / "Dockerfile"))):
        base, _, name = head[1].partition(" AS ")
        stage = Stage(scratch / f"stage-{index}")
        stage.root.mkdir()
        argument = base.strip("${}")
        if argument in images:
            shutil.copytree(images[argument], stage.root, dirs_exist_ok=True)
        for word, rest in steps:
            _step(stage, word, rest, sent, made, environment)
        made[name or str(index)] = stage
    return stage


def _step(
    stage: Stage,
    word: str,
    rest: str,
    context: Path,
    made: Mapping[str, Stage],
    environment: Mapping[str, str],
) -> None:
    match word:
        case "COPY":
            _copy(stage, rest.split(), context, made)
        case "RUN":
            _run(stage, rest, environment)
        case "WORKDIR":
            stage.directory = rest
            stage.at(rest).mkdir(parents=True)
        case "ENV":
            stage.environment |= dict(part.split("=", 1) for part in shlex.split(rest))
        case "USER":
            stage.user = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case _:
            raise ValueError(f"{word}: nothing here knows how to run it")


def _copy(stage: Stage, words: list[str], context: Path, made: Mapping[str, Stage]) -> None:
    source = context
    if words[0].startswith("--from="):
        source = made[words.pop(0).removeprefix("--from=")].root
    *paths, target = words
    for path in paths:
        found = source / path.lstrip("/")
        # As Docker has it: a folder's content, a file into a folder that ends with a slash.
        place = stage.at(target)
        if found.is_dir():
            shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
        else:
            place = place / found.name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, place)


def _run(stage: Stage, command: str, environment: Mapping[str, str]) -> None:
    rewritten = re.sub(r"(?<=[\s=])/(?=\w)", f"{stage.root}/", command)
    done = subprocess.run(
        ["/bin/sh", "-c", rewritten],
        cwd=stage.at(stage.directory),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
