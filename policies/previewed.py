"""Whether the engine that runs an update has previewed it, and the pack has let that preview pass.

In an update the engine makes resources one after the other, so one that is refused halfway leaves a part of
the update behind; rules on the stack as a whole are judged when everything is made. `pulumi up` therefore
previews first, in the same process. With `--skip-preview` it does not, and the protocol does not tell: every
preview and every update gets a process of the pack of its own. What they have in common is the engine's
process, so a preview that has passed leaves a record in its name, and an update takes that away.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_LANGUAGE_HOST: Final = "pulumi-lang"
"""Start of the name of a language host, which Linux cuts after 15 characters. Such a process stands between
the engine and a pack that is given as a folder."""


class Process(NamedTuple):
    """A running process of this machine."""

    pid: int
    parent: int
    name: str
    started: str
    """With `pid` never the same for two processes: boot and clock ticks since, or date and time."""


class CannotTell(Exception):
    """It cannot be told whether there was a preview; the message says why."""


class Record(NamedTuple):
    """A preview that has passed."""

    stack: str
    levels: str
    """Digest of the levels that it was judged by."""


def process(pid: int) -> Process | None:
    """A process by its number, None where there is none or it cannot be seen."""
    return _from_proc(pid) if (_PROC / "self" / "stat").exists() else _from_ps(pid)


def _from_proc(pid: int) -> Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # proc(5): pid (name) state parent … and the start as the 22nd; the name may hold anything.
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Process(pid, int(fields[1]), name, f"{boot}-{fields[19]}") if len(fields) > 19 else None


def _from_ps(pid: int) -> Process | None:
    """Where there is no /proc, as on macOS; the start is told to the second."""
    command = ["ps", "-o", "ppid=", "-o", "lstart=", "-o", "comm=", "-p", str(pid)]
    try:
        done = subprocess.run(
            command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    fields = done.stdout.split(maxsplit=6)
    if done.returncode or len(fields) != 7:
        return None
    name = fields[6].strip().rpartition("/")[2]
    return Process(pid, int(fields[0]), name, "-".join(fields[1:6]).replace(":", "."))


def engine() -> Process:
    """The engine that has started this process.

    A wrong guess below the engine (somebody's script between) only refuses updates: it is another process in
    the preview.

    :raises CannotTell: the process cannot be seen.
    """
    found = process(os.getppid())
    if found is not None and _LANGUAGE_HOST in found.name:
        found = process(found.parent)
    if found is None:
        raise CannotTell("the engine's process is not to be seen from the policy pack's")
    return found


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where records lie: the user's own runtime directory, else a private one beside temporary files."""
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "autoglm-platform-previews"
    return Path(environment.get("TMPDIR") or "/tmp") / f"autoglm-platform-previews-{os.getuid()}"


class Previews:
    """The records of one engine's previews.

    :param owner: the engine; found when it is needed.
    """

    def __init__(self, place: Path | None = None, owner: Process | None = None) -> None:
        self._place = place or folder()
        self._owner = owner

    def passed(self, record: Record) -> None:
        """Record a preview; whatever keeps this from being done keeps the update from being made."""
        try:
            file = self._file()
            self._remove_old()
            file.unlink(missing_ok=True)
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                json.dump(record._asdict(), opened)
        except (OSError, CannotTell):
            return  # a preview alone needs none, and the update will say what is wrong

    def take(self, record: Record) -> str | None:
        """Take the record of a preview away: None if it is this one's, else what is wrong."""
        try:
            file = self._file()
            text = file.read_text(encoding="utf-8")
            file.unlink()
            content = json.loads(text)
        except FileNotFoundError:
            return "no preview has passed in this run of the engine"
        except (CannotTell, OSError, ValueError) as error:
            return f"whether it was previewed cannot be told: {error}"
        if not isinstance(content, dict) or content.get("stack") != record.stack:
            return "what this run of the engine has previewed is another stack"
        if content.get("levels") != record.levels:
            return "the levels of the rules have changed since the preview"
        return None

    def _file(self) -> Path:
        """This engine's record, in a folder that nobody else can write to."""
        owner = self._owner or engine()
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._place.lstat()
        private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
        if not private or found.st_uid != os.getuid():
            raise CannotTell(
                f"{self._place} is not a folder of this user's alone; remove it, or set XDG_RUNTIME_DIR"
            )
        return self._place / f"{owner.pid}-{owner.started}"

    def _remove_old(self) -> None:
        for file in self._place.iterdir():
            pid, _, started = file.name.partition("-")
            alive = process(int(pid)) if pid.isdigit() else None
            if alive is None or alive.started != started:
                file.unlink(missing_ok=True)
