"""Preview of stack prod without credentials: ÷ an empty program; with ten times the models; without the pack.

Printed are medians of the seconds that pass and of the processor time of all processes of a preview (engine,
language host, program, plugins, pack), and the processor time of the pack's own process. All cases alternate
in every round, so that none has the warmer machine, and start from an empty state. It needs the engine,
neither root nor a cluster:

    python3 -m toolchain engine && .toolchain/venv/bin/python -m benchmarks.preview --rounds 5
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolchain import paths
from toolchain import stack as toolchain_stack

PROJECT = "autoglm-platform"
EMPTY = (
    f"name: {PROJECT}\nruntime: {{name: python, options: {{toolchain: pip, virtualenv: {paths.VENV}}}}}\n",
    '"""Registers nothing."""\n',
)
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Case:
    """Something to preview."""

    name: str
    program: Path
    settings: Path
    policies: bool


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", default="prod")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default %(default)s)")
    parser.add_argument("--times", type=int, default=10, help="models of the larger stack ÷ of the stack")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        measure(Path(folder), arguments.stack, arguments.rounds, arguments.times)


def measure(folder: Path, stack: str, rounds: int, times: int) -> None:
    """All cases in turn; medians of their seconds, and the ratios between them."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "Pulumi.yaml").write_text(EMPTY[0])
    (empty / "__main__.py").write_text(EMPTY[1])
    levels = toolchain_stack.LEVELS / f"{stack}.json"
    if levels.is_file():
        raised = _raised(json.loads(levels.read_text(encoding="utf-8")), times)
        (folder / "levels.json").write_text(json.dumps(raised), encoding="utf-8")
    plain, larger, nothing = folder / "plain", folder / "larger", folder / "nothing"
    settings = yaml.safe_load((paths.ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    cases = [
        Case("empty program, no pack", empty, _write(nothing, stack, {"config": {}}), False),
        Case("empty program", empty, _write(nothing, stack, {"config": {}}), True),
        Case(f"{stack}, no pack", paths.ROOT, _write(plain, stack, settings), False),
        Case(stack, paths.ROOT, _write(plain, stack, settings), True),
        Case(
            f"{stack}, {times}× the models",
            paths.ROOT,
            _write(larger, stack, with_models(settings, times)),
            True,
        ),
    ]
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    processor: dict[str, list[float]] = {case.name: [] for case in cases}
    pack: dict[str, list[float]] = {case.name: [] for case in cases}
    resources: dict[str, int] = {}
    for number in range(rounds + 1):
        for case in cases:
            before = _processor_seconds()
            with PackProcess(folder) as watched:
                spent, resources[case.name] = preview(case, stack, folder)
            if number:  # the first round only fills caches
                seconds[case.name].append(spent)
                processor[case.name].append(_processor_seconds() - before)
                pack[case.name].append(watched.seconds)
        print(f"round {number} of {rounds}" + ("" if number else ", not counted"), flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.1f} to {max(seconds[name]):.1f}"
        print(f"{name}: {median:.2f} s ({spread} s), {resources[name]} resources")
        whole, own = statistics.median(processor[name]), statistics.median(pack[name])
        print(f"    processor time {whole:.2f} s, of it the pack's process {own:.2f} s")
    _ratio(medians, stack, "empty program")
    _ratio(medians, f"{stack}, no pack", "empty program, no pack")
    _ratio(medians, f"{stack}, {times}× the models", stack)
    _ratio(medians, stack, f"{stack}, no pack")
    per_resource = (medians[stack] - medians["empty program"]) / resources[stack]
    print(f"each resource of {stack}: {per_resource * 1000:.0f} ms, pack included")


class PackProcess:
    """Processor time of the process that serves the pack while the block runs, read from /proc (Linux)."""

    def __init__(self, folder: Path) -> None:
        self.seconds = 0.0
        self._mark = f"PULUMI_BACKEND_URL=file://{folder}".encode()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run)

    def __enter__(self) -> PackProcess:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
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


def _processor_seconds() -> float:
    """User and system time of every process that this one, or a child of its, has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ratio(medians: Mapping[str, float], name: str, reference: str) -> None:
    print(f"{name} ÷ {reference} = {medians[name] / medians[reference]:.2f} (medians)")


def preview(case: Case, stack: str, folder: Path) -> tuple[float, int]:
    """Seconds of one preview from an empty state, and the resources that it would create."""
    with tempfile.TemporaryDirectory(dir=folder) as state:
        environment = _environment(folder / "levels.json", Path(state), policies=case.policies)
        pulumi = [str(paths.BIN / "pulumi")]
        _run([*pulumi, "stack", "init", stack, "--cwd", str(case.settings.parent)], environment, case.program)
        started = time.monotonic()
        told = _run(
            [
                *pulumi,
                "preview",
                "--stack",
                stack,
                "--config-file",
                str(case.settings),
                "--suppress-progress",
            ],
            environment,
            case.program,
        )
        spent = time.monotonic() - started
    created = [line.split() for line in told.splitlines() if line.strip().endswith("to create")]
    return spent, int(created[-1][1]) if created else 0


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


def _environment(levels: Path, state: Path, *, policies: bool) -> dict[str, str]:
    """The toolchain's engine and plugins; a state of the measurement's own; no cloud account."""
    prefixes = ("AWS_", "GOOGLE_", "CLOUDSDK_", "PULUMI_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    environment |= toolchain_stack.environment()
    del environment["PULUMI_CONFIG_PASSPHRASE_FILE"]
    environment |= {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "benchmark"}
    if not policies:
        del environment["PULUMI_OPTION_POLICY_PACK"]
    elif levels.is_file():
        environment["PULUMI_OPTION_POLICY_PACK_CONFIG"] = str(levels)
    return environment


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
        elif isinstance(value, str):
            digits = value.rstrip("KMGTPEikm")
            section[key] = f"{int(digits) * times}{value[len(digits) :]}"


def _raised(level: Any, times: int) -> Any:
    """The stack's policy levels with every ceiling raised: the larger stack is judged, not refused."""
    if isinstance(level, dict):
        return {key: _raised(value, times) for key, value in level.items()}
    return level * times if isinstance(level, int) and not isinstance(level, bool) else level


if __name__ == "__main__":
    main()
