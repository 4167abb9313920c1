"""What lies in a directory, seen without following any link."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from weights.errors import Refused


def regular_files(root: Path) -> dict[str, os.stat_result]:
    """Relative path → status of every file below `root`, in the order of the paths.

    Raises:
        Refused: `root` is no directory, or anything below it is neither a regular file nor a directory.
    """
    try:
        mode = os.lstat(root).st_mode
        if not stat.S_ISDIR(mode):
            raise Refused(root.name, "is a symbolic link" if stat.S_ISLNK(mode) else "is not a directory")
        found: dict[str, os.stat_result] = {}
        _walk(root, "", found)
    except OSError as error:
        raise Refused(str(error.filename or root), f"cannot be read: {error.strerror}") from None
    return dict(sorted(found.items()))


def _walk(directory: Path, prefix: str, found: dict[str, os.stat_result]) -> None:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = prefix + entry.name
            if entry.is_symlink():
                raise Refused(path, "is a symbolic link")
            if entry.is_dir(follow_symlinks=False):
                _walk(Path(entry.path), f"{path}/", found)
            elif entry.is_file(follow_symlinks=False):
                found[path] = entry.stat(follow_symlinks=False)
            else:
                raise Refused(path, "is neither a regular file nor a directory")


def directories(root: Path) -> list[Path]:
    """`root` and every directory below it, the deepest first."""
    return [Path(directory) for directory, _, _ in os.walk(root, topdown=False)]


def same_names(pinned: Iterable[str], found: Iterable[str], ignored: frozenset[str] = frozenset()) -> None:
    """Asserts that exactly the pinned files are there.

    Raises:
        Refused: a file is missing, or there and not pinned (the missing one is named first).
    """
    wanted, present = set(pinned), set(found)
    for path in sorted(wanted - present):
        raise Refused(path, "is missing")
    for path in sorted(present - wanted - ignored):
        raise Refused(path, "is not in the pinned list")
