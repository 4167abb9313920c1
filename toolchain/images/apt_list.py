"""The list of Debian packages that Docker's build of the virtual IP downloads with apt.

``python3 -m toolchain.images.apt_list`` writes it anew from ``debian.lock.json``, after
``python3 -m toolchain lock``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from toolchain import debian, paths
from toolchain.images import virtual_ip

LIST: Final = paths.ROOT / "apps" / "virtual_ip" / "packages.sha256"


def file_name(name: str) -> str:
    """The name that ``apt-get download`` gives a package's file: version with epoch, its colon as ``%3a``."""
    package = debian.locked(name)
    architecture = PurePosixPath(package.path).stem.rpartition("_")[2]
    return f"{name}_{package.version.replace(':', '%3a')}_{architecture}.deb"


def render() -> str:
    """Lines for ``sha256sum --check``, one for each package of the virtual IP."""
    names = debian.package_set(virtual_ip.PACKAGE_SET)
    return "".join(f"{debian.locked(name).sha256}  {file_name(name)}\n" for name in names)


def write(destination: Path = LIST) -> None:
    """Write the list."""
    destination.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    write()
