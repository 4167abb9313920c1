"""The file system that the images share: Debian's Python 3.11 and nothing that it does not need.

No shell, no package manager, no compiler; the only program is the interpreter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain import debian
from toolchain.errors import ToolchainError
from toolchain.images import oci

UID: Final = 65532
"""Unprivileged user of the images, the number that distroless images use."""

LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
LOADER: Final = f"{LIBRARIES}/ld-linux-x86-64.so.2"
PYTHON: Final = "usr/bin/python3.11"
STANDARD_LIBRARY: Final = "usr/lib/python3.11"
SITE_PACKAGES: Final = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for what is not Debian's."""

CERTIFICATES: Final = "etc/ssl/certs/ca-certificates.crt"

PASSWD: Final = f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{UID}:{UID}:nonroot:/tmp:/sbin/nologin\n"
GROUP: Final = f"root:x:0:\nnonroot:x:{UID}:\n"
NSSWITCH: Final = "passwd: files\ngroup: files\nhosts: files dns\n"

# A merged /usr, as every Debian since bookworm has it; amd64 packages still name the old places.
MERGED: Final = ("bin", "sbin", "lib", "lib64")

_DROPPED: Final = re.compile(
    r"usr/s?bin/(?!python3\.11$)"
    r"|usr/share/(man|info|locale|lintian|bug|python3|perl5|bash-completion|debconf|gcc|gdb)\b"
    # Licences stay.
    r"|usr/share/doc/[^/]+/(?!copyright$)"
    r"|usr/share/zoneinfo/(right|posix)\b"
    r"|usr/lib/(systemd|init|locale)\b"
    rf"|{LIBRARIES}/(gconv|audit|pkgconfig|security)\b"
    r"|usr/lib/python3\.11/(lib2to3|ensurepip|idlelib|pydoc_data|turtledemo|test)\b"
    r"|(var|etc/(apt|dpkg|cron|init|ca-certificates|ld\.so\.conf\.d|rpc|python3\.11))\b"
)


def unpack(package_set: str, destination: Path) -> None:
    """Unpack a set of Debian packages with a merged ``/usr``."""
    destination.mkdir(parents=True, exist_ok=True)
    for name in MERGED:
        (destination / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (destination / name).is_symlink():
            (destination / name).symlink_to(f"usr/{name}")
    debian.extract(debian.fetch(*debian.package_set(package_set)).values(), destination)


def keep(path: str) -> bool:
    """Whether an unpacked path goes into an image."""
    return _DROPPED.match(path) is None


def _certificate_bundle(root: Path) -> bytes:
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    if not certificates:
        raise ToolchainError(
            "package ca-certificates holds no certificate; check [sets.images.python] in debian.toml"
        )
    return b"".join(file.read_bytes() for file in certificates)


def nodes(root: Path) -> dict[str, oci.Node]:
    """The base layer of an unpacked root."""
    entries = oci.tree(root, keep=keep)
    added: Mapping[str, oci.Node] = {
        "etc/passwd": oci.File(PASSWD.encode()),
        "etc/group": oci.File(GROUP.encode()),
        "etc/nsswitch.conf": oci.File(NSSWITCH.encode()),
        CERTIFICATES: oci.File(_certificate_bundle(root)),
        "usr/bin/python3": oci.Symlink("python3.11"),
        "usr/bin/python": oci.Symlink("python3.11"),
        "usr/lib64/ld-linux-x86-64.so.2": oci.Symlink("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        SITE_PACKAGES: oci.Directory(),
        "tmp": oci.Directory(0o1777),
        "dev": oci.Directory(),
        "proc": oci.Directory(),
        "sys": oci.Directory(),
        "run": oci.Directory(),
    }
    return {**entries, **added}


def compile_bytecode(root: Path, directory: Path) -> None:
    """Write byte code beside every module below ``directory``, with the image's own interpreter.

    Imports are then as quick under a read-only root as they get. The byte code is bound to its source by no
    time stamp ("unchecked hash"), so it is the same in every build and is not checked at run time.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_"))
    }
    command = [
        *(root / LOADER, "--library-path", root / LIBRARIES, root / PYTHON, "-S", "-m", "compileall"),
        *("-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", directory, "-f", directory),
    ]
    done = subprocess.run(
        [str(part) for part in command],
        env=environment | {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    # 1: some file does not compile. Packages ship templates and sources for other Python versions.
    if done.returncode not in (0, 1):
        raise ToolchainError(f"compiling {directory}: {done.stderr.strip()[-500:]}; delete it and run again")


def remove(directory: Path) -> None:
    """Delete a directory, whatever modes the packages gave to what is in it."""
    shutil.rmtree(directory, ignore_errors=True)
