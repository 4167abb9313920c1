"""Debian packages by version and SHA-256: downloaded and unpacked, never installed.

``debian.toml`` names the sets of packages, ``debian.lock.json`` the versions, pool paths and digests. The
archive's base address comes from the machine's own apt sources or from ``AUTOGLM_DEBIAN_MIRROR`` (several,
separated by spaces); neither this module nor the lock file knows one.
"""

from __future__ import annotations

import json
import lzma
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

from toolchain import artefacts, paths
from toolchain.errors import ToolchainError
from toolchain.progress import step

SETS_FILE: Final = paths.ROOT / "toolchain" / "debian.toml"
LOCK_FILE: Final = paths.ROOT / "toolchain" / "debian.lock.json"
MIRROR_VARIABLE: Final = "AUTOGLM_DEBIAN_MIRROR"
ARCHITECTURE: Final = "amd64"

_DOWNLOADS_AT_ONCE: Final = 6
_TIMEOUT_SECONDS: Final = 60
_ATTEMPTS: Final = 3
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Package:
    """One ``.deb``: ``archive`` is the last element of its archive's base address, ``path`` lies below it."""

    version: str
    archive: str
    path: str
    sha256: str
    size_bytes: int


@cache
def _lock() -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ToolchainError(f"{LOCK_FILE} is missing; make it with `python3 -m toolchain lock`") from error
    return data


def locked(name: str) -> Package:
    """:raises ToolchainError: the package is not in the lock file."""
    try:
        return Package(**_lock()["packages"][name])
    except KeyError as error:
        raise ToolchainError(
            f"{LOCK_FILE}: no package {name!r}; add it to a set in {SETS_FILE.name}, "
            "run `python3 -m toolchain lock`"
        ) from error


def package_set(name: str) -> list[str]:
    """The packages of a set such as ``host`` or ``images.vllm-cpu``, dependencies included, sorted."""
    try:
        return list(_lock()["sets"][name])
    except KeyError as error:
        raise ToolchainError(
            f"{LOCK_FILE}: no set {name!r}; add [sets.{name}] to {SETS_FILE.name}, "
            "run `python3 -m toolchain lock`"
        ) from error


def key(*packages: str) -> str:
    """A digest of the packages' content, for artefact keys."""
    return artefacts.digest(*(f"{name} {locked(name).sha256}" for name in sorted(packages)))


@cache
def base_addresses() -> tuple[str, ...]:
    """Addresses of Debian archives, as apt has them, without a trailing slash.

    :raises ToolchainError: the machine's apt names none and the environment does not either.
    """
    configured = os.environ.get(MIRROR_VARIABLE, "").split()
    found = configured or list(_apt_addresses(Path("/etc/apt")))
    if not found:
        raise ToolchainError(
            f"no Debian archive known: /etc/apt names none; "
            f"set {MIRROR_VARIABLE} to the address of a Debian mirror"
        )
    return tuple(dict.fromkeys(address.rstrip("/") for address in found))


def _apt_addresses(etc: Path) -> Iterator[str]:
    lists = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for file in (file for file in lists if file.is_file()):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s*)?(https?://\S+)", line)
            if entry:
                yield entry.group(1)
    for file in sorted((etc / "sources.list.d").glob("*.sources")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("uris:"):
                yield from (word for word in line.split()[1:] if word.startswith("http"))


def _candidates(package: Package) -> list[str]:
    """Addresses to try: of the package's own archive first; one mirror address stands for all archives."""
    own = [base for base in base_addresses() if base.rsplit("/", 1)[-1] == package.archive]
    siblings = [base.rsplit("/", 1)[0] + "/" + package.archive for base in base_addresses()]
    order = dict.fromkeys([*own, *siblings, *base_addresses()])
    return [f"{base}/{package.path}" for base in order]


def fetch(*packages: str) -> dict[str, Path]:
    """The packages' ``.deb`` files by name, downloaded if missing, each checked against its SHA-256."""
    directory = paths.DOWNLOADS / "debian"
    directory.mkdir(parents=True, exist_ok=True)
    pins = {name: locked(name) for name in packages}
    files = {name: directory / f"{pin.sha256[:16]}-{Path(pin.path).name}" for name, pin in pins.items()}
    missing = [name for name, file in files.items() if not file.exists()]
    if missing:
        total = sum(pins[name].size_bytes for name in missing)
        done = 0
        guard = threading.Lock()
        with step(f"{len(missing)} Debian packages") as running:

            def one(name: str) -> None:
                nonlocal done
                _download(name, pins[name], files[name])
                with guard:
                    done += pins[name].size_bytes
                    running.update(f"{done / 1e6:.0f}/{total / 1e6:.0f} MB")

            with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
                list(pool.map(one, missing))
    return files


def _download(name: str, package: Package, destination: Path) -> None:
    problems: list[str] = []
    for _ in range(_ATTEMPTS):
        for address in _candidates(package):
            with tempfile.NamedTemporaryFile(dir=destination.parent, prefix=".", delete=False) as out:
                partial = Path(out.name)
                try:
                    with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:
                        shutil.copyfileobj(response, out)
                except (urllib.error.URLError, OSError) as error:
                    partial.unlink(missing_ok=True)
                    problems.append(f"{address}: {error}")
                    continue
            seen = artefacts.sha256_file(partial)
            if seen != package.sha256:
                partial.unlink()
                problems.append(f"{address}: sha256 {seen}, locked {package.sha256}")
                continue
            partial.chmod(0o644)
            partial.rename(destination)
            return
    listing = "\n  ".join(dict.fromkeys(problems))
    raise ToolchainError(
        f"Debian package {name} {package.version} could not be had:\n  {listing}\n"
        f"check the network, set {MIRROR_VARIABLE}, or refresh the versions with `python3 -m toolchain lock`"
    )


def extract(debs: Iterable[Path], destination: Path) -> None:
    """Unpack the files of ``.deb`` packages into a directory; without dpkg; maintainer scripts do not run."""
    destination.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        with open_data(deb) as archive:
            for member in archive:
                if member.name.strip("./"):  # the root itself is there
                    _extract_member(archive, member, destination)


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, destination: Path) -> None:
    """Like ``TarFile.extract(filter="tar")``, which Python has only since 3.11.4."""
    member.name = member.name.lstrip("/")
    linked = destination / member.linkname if member.islnk() else destination
    root = destination.resolve()
    for path in ((destination / member.name).parent, linked):
        if not path.resolve().is_relative_to(root):
            raise tarfile.ExtractError(f"{member.name}: lies outside of {destination}")
    member.mode &= 0o755
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    trusted: dict[str, Any] = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
    archive.extract(member, destination, **trusted)


@contextmanager
def open_data(deb: Path) -> Iterator[tarfile.TarFile]:
    """The tar archive of a package's files.

    :raises ToolchainError: the file is no ``.deb`` or its compression is unknown here.
    """
    with deb.open("rb") as handle:
        name = _seek_member(handle, deb, "data.tar")
        if name.endswith(".xz"):
            with lzma.open(handle) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
                yield archive
        elif name.endswith((".gz", ".tar")):
            with tarfile.open(fileobj=handle, mode="r|*") as archive:
                yield archive
        else:
            raise ToolchainError(
                f"{deb}: member {name}: only .gz and .xz can be read; lock Debian's own build"
            )


def _seek_member(handle: IO[bytes], deb: Path, prefix: str) -> str:
    """Move to the content of the ar member whose name begins with ``prefix``; data.tar is the last one."""
    if handle.read(8) != b"!<arch>\n":
        raise ToolchainError(f"{deb}: not a Debian package; delete it and run again")
    while header := handle.read(60):
        name = header[:16].decode("ascii").rstrip(" /")
        size = int(header[48:58])
        if name.startswith(prefix):
            return name
        handle.seek(size + size % 2, os.SEEK_CUR)
    raise ToolchainError(f"{deb}: holds no {prefix}; delete it and run again")


def lock() -> Path:
    """Resolve the sets of ``debian.toml`` with apt in a private root and write the lock file.

    :raises ToolchainError: no apt on this machine, or a package that the suites lack.
    """
    if shutil.which("apt-get") is None:
        raise ToolchainError(
            "apt-get not found: locking Debian packages needs a Debian machine (using them does not)"
        )
    if platform.machine() != "x86_64":
        raise ToolchainError(
            f"machine {platform.machine()}: only {ARCHITECTURE} is locked; run on an x86_64 machine"
        )
    wanted = tomllib.loads(SETS_FILE.read_text(encoding="utf-8"))
    sets: dict[str, list[str]] = {}
    packages: dict[str, Package] = {}
    with tempfile.TemporaryDirectory() as scratch:
        apt = _PrivateApt(Path(scratch), wanted["archives"])
        with step("Debian package indexes"):
            apt.run("apt-get", "update", "-q")
        for name, spec in _flatten(wanted["sets"]):
            with step(f"set {name}") as running:
                closure = apt.closure(spec["roots"], set(spec.get("exclude", [])))
                packages.update(closure)
                sets[name] = sorted(closure)
                running.update(f"{len(closure)} packages")
    data = {
        "architecture": ARCHITECTURE,
        "sets": dict(sorted(sets.items())),
        "packages": {name: asdict(packages[name]) for name in sorted(packages)},
    }
    LOCK_FILE.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    _lock.cache_clear()
    return LOCK_FILE


def _flatten(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """``[sets.images.vllm-cpu]`` becomes ``images.vllm-cpu``."""
    for name, table in tables.items():
        if "roots" in table:
            yield prefix + name, table
        else:
            yield from _flatten(table, f"{prefix}{name}.")


class _PrivateApt:
    """apt with its own root and an empty dpkg status: what the host has installed does not count."""

    def __init__(self, root: Path, archives: dict[str, list[str]]) -> None:
        for directory in ("state/lists/partial", "cache/archives/partial", "etc"):
            (root / directory).mkdir(parents=True)
        (root / "status").touch()
        sources = []
        for archive, suites in archives.items():
            bases = [base for base in base_addresses() if base.rsplit("/", 1)[-1] == archive]
            if not bases:
                raise ToolchainError(f"no address of archive {archive!r} known; set {MIRROR_VARIABLE} to it")
            sources += [f"deb [signed-by={_KEYRING}] {bases[0]} {suite} main" for suite in suites]
        (root / "etc" / "sources.list").write_text("\n".join(sources) + "\n", encoding="utf-8")
        self._archives = list(archives)
        self._options = {
            "Dir::State": root / "state",
            "Dir::State::status": root / "status",
            "Dir::Cache": root / "cache",
            "Dir::Etc::sourcelist": root / "etc" / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferencesparts": "-",
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures": ARCHITECTURE,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            # Without these, apt adds every essential package of the distribution to each closure.
            "pkgCacheGen::ForceEssential": "none",
            "pkgCacheGen::ForceImportant": "none",
        }

    def run(self, command: str, *arguments: str) -> str:
        options = [word for name, value in self._options.items() for word in ("-o", f"{name}={value}")]
        done = subprocess.run(
            [command, *options, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode != 0:
            raise ToolchainError(
                f"{command} {' '.join(arguments)}: {done.stderr.strip()}; correct {SETS_FILE}"
            )
        return done.stdout

    def closure(self, roots: Sequence[str], excluded: set[str]) -> dict[str, Package]:
        """What apt would install for ``roots``, less the excluded ones and what only they need."""
        plan = self.run("apt-get", "install", "--simulate", "--no-install-recommends", *roots)
        chosen = dict(re.findall(r"^Inst (\S+) \((\S+) ", plan, re.MULTILINE))
        reachable: set[str] = set()
        waiting = list(roots)
        records = self._records(chosen)
        provided = {
            virtual: name
            for name, record in records.items()
            for virtual in re.findall(r"[^\s,(]+(?=\s*(?:\(|,|$))", record.get("Provides", ""))
        }
        while waiting:
            name = waiting.pop()
            name = name if name in chosen else provided.get(name, name)
            if name in reachable or name in excluded or name not in chosen:
                continue
            reachable.add(name)
            for field in ("Depends", "Pre-Depends"):
                waiting += re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", records[name].get(field, ""))
        archives = self._archive_of({name: records[name]["Version"] for name in reachable})
        return {name: self._package(records[name], archives[name]) for name in reachable}

    def _archive_of(self, versions: dict[str, str]) -> dict[str, str]:
        """The archive that serves each version: a pool path does not say it."""
        found: dict[str, str] = {}
        for line in self.run("apt-cache", "madison", *versions).splitlines():
            name, version, source = (field.strip() for field in line.split("|"))
            base = source.split()[0].rstrip("/").rsplit("/", 1)[-1]
            if versions.get(name) == version and base in self._archives:
                found.setdefault(name, base)
        return found

    def _records(self, chosen: dict[str, str]) -> dict[str, dict[str, str]]:
        text = self.run("apt-cache", "show", *(f"{name}={version}" for name, version in chosen.items()))
        records: dict[str, dict[str, str]] = {}
        for block in text.split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", block, re.MULTILINE))
            if fields:
                records.setdefault(fields["Package"], fields)
        return records

    @staticmethod
    def _package(record: dict[str, str], archive: str) -> Package:
        return Package(
            version=record["Version"],
            archive=archive,
            path=record["Filename"],
            sha256=record["SHA256"],
            size_bytes=int(record["Size"]),
        )
