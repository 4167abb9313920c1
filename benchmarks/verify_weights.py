"""How fast weights are verified, against `xargs -P <processors> sha256sum` over the same files.

    python benchmarks/verify_weights.py [--gib 4] [--files 8] [--pairs 5] [--directory DIR]

Each pair runs both, in alternating order, over files in the same state: first `cached` (read before each
run), then `uncached` (dropped from the page cache before each run, so that the disk counts too). Printed are
the medians, and the median of the ratios of the pairs; above 1, ours is faster. The goal is a ratio of at
least 0.9; the exit status is 1 when it is missed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL = 0.9
_BLOCK = 1024 * 1024


def write_model(directory: Path, gib: float, count: int) -> Path:
    """Writes `count` incompressible files of `gib` in all; returns the SHA256SUMS beside them."""
    model = directory / "model"
    model.mkdir()
    size = int(gib * 2**30) // count
    noise = os.urandom(64 * _BLOCK)
    for number in range(count):
        with (model / f"model-{number + 1:05}-of-{count:05}.safetensors").open("wb") as file:
            for offset in range(0, size, len(noise)):
                part = noise[: min(len(noise), size - offset)]
                file.write(number.to_bytes(8, "big") + offset.to_bytes(8, "big") + part[16:])
            file.flush()
            os.fsync(file.fileno())
    sums = directory / "SHA256SUMS"
    names = sorted(path.name for path in model.iterdir())
    with sums.open("wb") as output:
        subprocess.run(["sha256sum", *names], cwd=model, stdout=output, check=True)
    return sums


def drop(model: Path) -> None:
    """Takes the files out of the page cache."""
    for path in model.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def warm(model: Path) -> None:
    """Brings the files into the page cache."""
    buffer = bytearray(4 * _BLOCK)
    for path in model.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def seconds(prepare: Callable[[], None], command: list[str], **options: object) -> float:
    """Wall time of a command, its start included."""
    prepare()
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - started


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--directory", type=Path, help="where the files are written (the temporary directory)"
    )
    options = parser.parse_args()
    free = shutil.disk_usage(options.directory or tempfile.gettempdir()).free
    if free < (options.gib + 1) * 2**30:
        print(
            f"skipped: needs {options.gib + 1:.0f} GiB of disk, {free / 2**30:.1f} GiB free", file=sys.stderr
        )
        return 0
    processors = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=options.directory) as scratch:
        sums = write_model(Path(scratch), options.gib, options.files)
        model = Path(scratch, "model")
        ours = [sys.executable, "-m", "weights", "verify", "--sums", str(sums), "--path", str(model)]
        theirs = f"find . -type f -print0 | xargs -0 -n 1 -P {processors} sha256sum"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "apps/weights")}
        print(f"{options.gib:g} GiB in {options.files} files, {processors} processors, {options.pairs} pairs")
        ratios = []
        for state, prepare in (("cached", warm), ("uncached", drop)):
            pairs = []
            for pair in range(options.pairs):
                runs = {
                    "ours": partial(seconds, partial(prepare, model), ours, env=environment),
                    "theirs": partial(seconds, partial(prepare, model), ["sh", "-c", theirs], cwd=model),
                }
                order = ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours")
                pairs.append({name: runs[name]() for name in order})
            ratio = statistics.median(pair["theirs"] / pair["ours"] for pair in pairs)
            ratios.append(ratio)
            for name, label in (("ours", "weights verify"), ("theirs", f"xargs -P {processors} sha256sum")):
                median = statistics.median(pair[name] for pair in pairs)
                spread = (
                    f"{min(pair[name] for pair in pairs):.2f} to {max(pair[name] for pair in pairs):.2f} s"
                )
                speed = options.gib * 2**30 / median / 1e6
                print(f"  {state:9} {label:24} {median:6.2f} s ({spread})  {speed:6.0f} MB/s")
            print(f"  {state:9} ratio {ratio:.2f} (goal ≥ {GOAL})")
    return 0 if min(ratios) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
