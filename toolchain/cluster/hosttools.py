"""Programs of Debian packages that run on any Linux host: runc, iproute2, nftables, iptables, ipset.

They are unpacked below `.toolchain` with every library they need, the C library included, and patched to use
exactly those. A wrapper that sets LD_LIBRARY_PATH would not do: runc starts itself again with an empty
environment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolchain import artefacts, debian, paths
from toolchain.errors import ToolchainError
from toolchain.progress import step

# Command and the file that provides it; iptables chooses its personality by the name it is called by.
_COMMANDS = {
    "runc": "usr/sbin/runc",
    "ip": "bin/ip",
    "nft": "usr/sbin/nft",
    "ipset": "usr/sbin/ipset",
    "iptables": "usr/sbin/xtables-nft-multi",
    "iptables-save": "usr/sbin/xtables-nft-multi",
    "iptables-restore": "usr/sbin/xtables-nft-multi",
    "ip6tables": "usr/sbin/xtables-nft-multi",
    "ip6tables-save": "usr/sbin/xtables-nft-multi",
    "ip6tables-restore": "usr/sbin/xtables-nft-multi",
}
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
# Extensions of iptables, looked for at a fixed place otherwise.
_XTABLES = "usr/lib/x86_64-linux-gnu/xtables"
_LOADER = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


@dataclass(frozen=True)
class HostTools:
    """The unpacked tools; `directory` goes on the PATH of programs that call them."""

    directory: Path

    def path(self, command: str) -> Path:
        """Absolute path of a command."""
        return self.directory / command

    def run(self, command: str, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of a command; raises ToolchainError with its standard error when it fails."""
        done = subprocess.run(
            [str(self.path(command)), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": str(self.directory),
                "LC_ALL": "C",
                "XTABLES_LIBDIR": str(self.directory.parent / _XTABLES),
            },
        )
        if done.returncode:
            raise ToolchainError(f"`{command} {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout


def ensure() -> HostTools:
    """The tools, fetched and unpacked when they are missing."""
    packages = debian.package_set("host")
    # Interpreter and library paths inside the programs are absolute: a checkout that was moved needs another
    # copy.
    key = artefacts.digest("host-tools 1", str(paths.ARTEFACTS), debian.key(*packages))
    root = artefacts.ensure("host-tools", key, lambda building: _build(packages, building, key))
    return HostTools(root / "commands")


def _build(packages: list[str], building: Path, key: str) -> None:
    with step("host tools from Debian packages"):
        debian.extract(debian.fetch(*packages).values(), building)
        patch = _patcher(building, artefacts.path_of("host-tools", key))
        for program in sorted(set(_COMMANDS.values())):
            patch(building / program)
        (building / "commands").mkdir()
        for command, program in _COMMANDS.items():
            os.symlink(f"../{program}", building / "commands" / command)


def _patcher(building: Path, final: Path) -> Callable[[Path], None]:
    """A function that makes a program use the loader and libraries that will lie below `final`."""
    # The patch tool itself is not patched yet: its loader is named explicitly.
    search = ":".join(str(building / part) for part in _LIBRARIES)
    patchelf = [str(building / _LOADER), "--library-path", search, str(building / "usr/bin/patchelf")]
    final_search = ":".join(str(final / part) for part in _LIBRARIES)
    # DT_RPATH, unlike DT_RUNPATH, also counts for the libraries of libraries.
    arguments = ["--set-interpreter", str(final / _LOADER), "--force-rpath", "--set-rpath", final_search]

    def patch(program: Path) -> None:
        done = subprocess.run(
            [*patchelf, *arguments, str(program)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ToolchainError(
                f"patchelf {program}: {done.stderr.strip()}; remove .toolchain/artefacts and try again"
            )

    return patch
