"""Preview of stack prod without credentials: ÷ an empty program; with ten times the models; without the pack.

A pack without rules is measured, too: what the engine and any pack in Python take to ask and to answer.

Printed are medians of the seconds that pass and of the processor time of all processes of a preview (engine,
language host, program, plugins, pack), the processor time of the pack's own process, and ratios of both.
Cases alternate, in one round in one direction and in the next in the other, so that none has the warmer
machine, and start from an empty state. On a machine with other work the seconds tell little; processor time
then still tells what was done. It needs the engine, neither root nor a cluster:

    python3 -m toolchain engine && .toolchain/venv/bin/python -m benchmarks.preview --rounds 5

`--pack` measures the stack with the pack, without it and with one that has no rules only, in half the time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.usage import processor_seconds
from toolchain import paths
from toolchain import stack as toolchain_stack

PROJECT = "autoglm-platform"
EMPTY = (
    f"name: {PROJECT}\nruntime: {{name: python, options: {{toolchain: pip, virtualenv: {paths.VENV}}}}}\n",
    '"""Registers nothing."""\n',
)
SILENT = f"""import sys

sys.path.insert(0, {str(paths.ROOT)!r})

from policies import protocol

protocol.without_sdk()

from policies import server

server.serve(server.Pack((), ()))
"""
"""A pack that decodes every resource, as ours does, and has no rules."""
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Case:
    """Something to preview."""

    name: str
    program: Path
    settings: Path
    pack: Path | None
    """The policy pack as a program."""


@dataclass
class Figures:
    """What the previews of a case took, a figure for each round."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Processor time of all processes, in seconds."""
    pack: list[float] = field(default_factory=list)
    """Processor time of the pack's own process, in seconds."""
    resources: int = 0

    def lines(self) -> Iterator[str]:
        """The medians and, of what depends on the machine's other work, the range."""
        for name, values in (("seconds", self.seconds), ("processor time", self.processor)):
            yield f"{name} {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        yield f"of it the pack's process {statistics.median(self.pack):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", default="prod")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default %(default)s)")
    parser.add_argument("--times", type=int, default=10, help="models of the larger stack ÷ of the stack")
    parser.add_argument("--pack", action="store_true", help="only the stack with and without the pack")
    arguments = parser.parse_args()
    stack: str = arguments.stack
    with tempfile.TemporaryDirectory(prefix="preview-") as name:
        folder = Path(name)
        _write_levels(folder, stack, arguments.times)
        with_pack = pack_cases(folder, stack)
        others = () if arguments.pack else other_cases(folder, stack, arguments.times)
        figures = measure(folder, stack, (*others, *with_pack), arguments.rounds)
    for case, of_case in figures.items():
        print(f"{case}: {of_case.resources} resources", *of_case.lines(), sep="\n    ")
    without, silent, plain = (case.name for case in with_pack)
    _ratio(figures, plain, without)
    _ratio(figures, silent, without)
    _ratio(figures, plain, silent)
    if not arguments.pack:
        no_pack, empty, larger = (case.name for case in others)
        _ratio(figures, plain, empty)
        _ratio(figures, without, no_pack)
        _ratio(figures, larger, plain)


def pack_cases(folder: Path, stack: str) -> tuple[Case, Case, Case]:
    """The stack without a pack, with one that has no rules, and with the platform's."""
    settings = _write(folder / "plain", stack, _settings(stack))
    return (
        Case(f"{stack}, no pack", paths.ROOT, settings, None),
        Case(f"{stack}, no rules", paths.ROOT, settings, _silent_pack(folder)),
        Case(stack, paths.ROOT, settings, toolchain_stack.ANALYZER),
    )


def _silent_pack(folder: Path) -> Path:
    pack = folder / "silent" / "policies"
    pack.mkdir(parents=True)
    (pack / "__main__.py").write_text(SILENT)
    program = pack / "analyzer"
    program.write_text(f'#!/bin/sh\nexec {paths.VENV}/bin/python {pack} "$@"\n')
    program.chmod(0o755)
    return program


def other_cases(folder: Path, stack: str, times: int) -> tuple[Case, Case, Case]:
    """A program that registers nothing, without the pack and with it, and a stack with more models."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "Pulumi.yaml").write_text(EMPTY[0])
    (empty / "__main__.py").write_text(EMPTY[1])
    nothing = _write(folder / "nothing", stack, {"config": {}})
    larger = _write(folder / "larger", stack, with_models(_settings(stack), times))
    return (
        Case("empty program, no pack", empty, nothing, None),
        Case("empty program", empty, nothing, toolchain_stack.ANALYZER),
        Case(f"{stack}, {times}× the models", paths.ROOT, larger, toolchain_stack.ANALYZER),
    )


def measure(folder: Path, stack: str, cases: Sequence[Case], rounds: int) -> dict[str, Figures]:
    """All cases in turn, by name; a round before the first only fills caches."""
    figures = {case.name: Figures() for case in cases}
    for number in range(rounds + 1):
        for case in cases if number % 2 else reversed(cases):
            of_case = figures[case.name]
            with PackProcess(folder, expected=case.pack is not None) as watched:
                seconds, processor, of_case.resources = preview(case, stack, folder)
            if number:
                of_case.seconds.append(seconds)
                of_case.processor.append(processor)
                of_case.pack.append(watched.seconds)
        print(f"round {number} of {rounds}" + ("" if number else ", not counted"), flush=True)
    return figures


class PackProcess:
    """Processor time of the process that serves the pack while the block runs, read from /proc (Linux).

    :param expected: False: there is none, and nothing is looked for, which would take time itself.
    """

    def __init__(self, folder: Path, *, expected: bool) -> None:
        self.seconds = 0.0
        self._expected = expected
        self._mark = f"PULUMI_BACKEND_URL=file://{folder}".encode()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run)

    def __enter__(self) -> PackProcess:
        if self._expected:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._expected:
            self._watch.join()

    def _run(self) -> None:
        found: Path | None = None
        while not self._ended.wait(0.05):
            found = found or next(self._packs(), None)
            if found is not None:
                try:
                    fields = (found / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    return
                self.seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _packs(self) -> Iterator[Path]:
        """The Python process of a preview of this measurement whose program is the pack."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (process / "cmdline").read_bytes().split(b"\0")
                # A folder that the engine was told, or the one that the pack as a program names.
                pack = any(one.rstrip(b"/").endswith(b"/policies") for one in arguments)
                if pack and b"python" in arguments[0] and self._mark in (process / "environ").read_bytes():
                    yield process
            except OSError:
                continue


def _ratio(figures: Mapping[str, Figures], name: str, reference: str) -> None:
    one, other = figures[name], figures[reference]
    seconds = statistics.median(one.seconds) / statistics.median(other.seconds)
    fastest = min(one.seconds) / min(other.seconds)
    processor = statistics.median(one.processor) / statistics.median(other.processor)
    print(
        f"{name} ÷ {reference} = {seconds:.2f} in seconds, {fastest:.2f} of the fastest, "
        f"{processor:.2f} in processor time"
    )


def preview(case: Case, stack: str, folder: Path) -> tuple[float, float, int]:
    """Seconds and processor time of one preview from an empty state, and what it would create."""
    with tempfile.TemporaryDirectory(dir=folder) as state:
        environment = _environment(folder / "levels.json", Path(state), case.pack)
        pulumi = [str(paths.BIN / "pulumi")]
        _run([*pulumi, "stack", "init", stack, "--cwd", str(case.settings.parent)], environment, case.program)
        options = ["--stack", stack, "--config-file", str(case.settings), "--suppress-progress"]
        started, before = time.monotonic(), processor_seconds()
        told = _run([*pulumi, "preview", *options], environment, case.program)
        seconds, processor = time.monotonic() - started, processor_seconds() - before
    created = [line.split() for line in told.splitlines() if line.strip().endswith("to create")]
    return seconds, processor, int(created[-1][1]) if created else 0


def _run(command: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(
        [*command, "--non-interactive", "--color", "never"],
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def _environment(levels: Path, state: Path, pack: Path | None) -> dict[str, str]:
    """The toolchain's engine and plugins; a state of the measurement's own; no cloud account."""
    prefixes = ("AWS_", "GOOGLE_", "CLOUDSDK_", "PULUMI_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    environment |= toolchain_stack.environment()
    del environment["PULUMI_CONFIG_PASSPHRASE_FILE"]
    environment |= {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "benchmark"}
    if pack is None:
        del environment["PULUMI_OPTION_POLICY_PACK"]
        return environment
    environment["PULUMI_OPTION_POLICY_PACK"] = str(pack)
    if levels.is_file() and pack == toolchain_stack.ANALYZER:
        environment["PULUMI_OPTION_POLICY_PACK_CONFIG"] = str(levels)
    return environment


def _settings(stack: str) -> dict[str, Any]:
    text = (paths.ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)
    return settings


def _write(folder: Path, stack: str, settings: Mapping[str, Any]) -> Path:
    """A settings file beside a project of the same name: the engine adds its salt there."""
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    file = folder / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
    return file


def with_models(settings: Mapping[str, Any], times: int) -> dict[str, Any]:
    """The settings with every model `times` times under names of its own, and room for all of them."""
    larger: dict[str, Any] = copy.deepcopy(dict(settings))
    config = larger["config"]
    models = config[f"{PROJECT}:models"]
    config[f"{PROJECT}:models"] = [
        {**copy.deepcopy(model), **dict.fromkeys(("name", "servedModelName"), f"{model['name']}-{number}")}
        for number in range(times)
        for model in models
    ]
    _multiply(config[f"{PROJECT}:tenant"]["quota"], times)
    _multiply(config.get(f"{PROJECT}:costCeiling", {}), times)
    # More nodes write more logs.
    if elasticsearch := config.get(f"{PROJECT}:logging", {}).get("elasticsearch"):
        _multiply(elasticsearch["hot"]["volume"], times)
    used = {model.get("nodePool") for model in models}
    cluster = config[f"{PROJECT}:cluster"]
    for pool in cluster.get("nodePools", []):
        if pool["name"] in used:
            pool["maxNodes"] = sum(model["replicas"] for model in models) * times + times
    # Jobs that fetch run on nodes without accelerators.
    cluster["systemPool"] = {**cluster.get("systemPool", {}), "maxNodes": max(12, times)}
    return larger


def _multiply(section: dict[str, Any], times: int) -> None:
    """Multiply numbers and quantities such as `512Gi` and `"64"` in place."""
    for key, value in section.items():
        if isinstance(value, dict):
            _multiply(value, times)
        elif isinstance(value, int):
            section[key] = value * times
        elif isinstance(value, str) and (digits := value.rstrip("KMGTPEikm")).isdigit():
            section[key] = f"{int(digits) * times}{value[len(digits) :]}"


def _write_levels(folder: Path, stack: str, times: int) -> None:
    """The stack's levels for every case, where it has any."""
    levels = toolchain_stack.LEVELS / f"{stack}.json"
    if levels.is_file():
        raised = _raised(json.loads(levels.read_text(encoding="utf-8")), times)
        (folder / "levels.json").write_text(json.dumps(raised), encoding="utf-8")


def _raised(level: Any, times: int) -> Any:
    """The stack's policy levels with every ceiling raised: the larger stack is judged, not refused."""
    if isinstance(level, dict):
        return {key: _raised(value, times) for key, value in level.items()}
    return level * times if isinstance(level, int) and not isinstance(level, bool) else level


if __name__ == "__main__":
    main()
