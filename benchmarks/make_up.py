"""How long `make up` takes: cold in a fresh clone with empty caches, then again with everything there.

    python3 -m benchmarks.make_up            # both; minutes; the checkout's own cluster must be down
    python3 -m benchmarks.make_up --warm     # the second alone, on this checkout

The references are the limits that the project has set itself, and for the warm one also a `pulumi up` that
changes nothing: what `make up` adds to that is the toolchain's own checks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from toolchain import paths

COLD_LIMIT_SECONDS = 20 * 60
WARM_LIMIT_SECONDS = 60

_CACHES = {
    "GOMODCACHE": "go/mod",
    "GOCACHE": "go/build",
    "UV_CACHE_DIR": "uv",
    "PIP_CACHE_DIR": "pip",
    "XDG_CACHE_HOME": "cache",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--warm", action="store_true", help="only the second `make up`, on this checkout")
    parser.add_argument("--rounds", type=int, default=3, help="warm measurements (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.warm:
        report_warm(paths.ROOT, dict(os.environ), arguments.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="make-up-", dir="/var/tmp") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-local", str(paths.ROOT), str(clone)], check=True)
        caches = {name: str(Path(folder) / "caches" / place) for name, place in _CACHES.items()}
        env = {**os.environ, **caches}
        try:
            cold = make(clone, "up", env)
            print(
                f"cold make up {cold:.0f} s ÷ limit {COLD_LIMIT_SECONDS} s = {cold / COLD_LIMIT_SECONDS:.2f}"
            )
            report_warm(clone, env, arguments.rounds)
        finally:
            make(clone, "down", env)
            # Go's module cache is read-only.
            subprocess.run(["chmod", "-R", "u+w", folder], check=False)


def report_warm(checkout: Path, env: dict[str, str], rounds: int) -> None:
    """Print the medians of `make up` and of a `pulumi up` that changes nothing, alternating."""
    ours, reference = [], []
    for _ in range(rounds):
        ours.append(make(checkout, "up", env))
        command = "source .toolchain/env && pulumi up --stack dev --yes --non-interactive --expect-no-changes"
        reference.append(timed(["bash", "-c", command], checkout, env))
    warm, engine = statistics.median(ours), statistics.median(reference)
    print(f"warm make up {warm:.1f} s ÷ limit {WARM_LIMIT_SECONDS} s = {warm / WARM_LIMIT_SECONDS:.2f}")
    print(f"warm make up {warm:.1f} s ÷ pulumi up without changes {engine:.1f} s = {warm / engine:.2f}")


def make(checkout: Path, target: str, env: dict[str, str]) -> float:
    """Seconds that a target takes."""
    return timed(["make", "--no-print-directory", target], checkout, env)


def timed(argv: list[str], checkout: Path, env: dict[str, str]) -> float:
    """Seconds that a command takes, its output on standard error; ends the benchmark if it fails."""
    started = time.monotonic()
    subprocess.run(argv, cwd=checkout, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
