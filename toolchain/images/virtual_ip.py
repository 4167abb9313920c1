"""The image of the virtual IP: keepalived, haproxy, nft, and busybox for their small scripts.

One image for all of a node's entry: Debian's builds and the libraries that they load, nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from toolchain import artefacts, debian
from toolchain.images import oci, rootfs

PACKAGE_SET: Final = "images.virtual-ip"
PROGRAMS: Final = (
    "usr/bin/busybox",
    "usr/bin/flock",
    "usr/sbin/haproxy",
    "usr/sbin/keepalived",
    "usr/sbin/nft",
)
_KEPT: Final = re.compile(
    # Directories on the way to a program, and the programs themselves.
    r"usr$|usr/s?bin$|(" + "|".join(re.escape(program) for program in PROGRAMS) + r")$"
    rf"|usr/lib$|usr/lib64\b|{rootfs.LIBRARIES}$|{rootfs.LIBRARIES}/[^/]*\.so[^/]*$"
    # Licences.
    r"|usr/share$|usr/share/doc$|usr/share/doc/[^/]+$|usr/share/doc/[^/]+/copyright$"
)
_EMPTY: Final = {"dev": 0o755, "proc": 0o755, "sys": 0o755, "run": 0o755, "tmp": 0o1777}


def _keep(path: str) -> bool:
    return _KEPT.match(path) is not None


def root() -> Path:
    """The image's file system as a directory; tests run the programs from it."""

    def build(target: Path) -> None:
        scratch = target / "unpacked"
        rootfs.unpack(PACKAGE_SET, scratch)
        for path, node in oci.tree(scratch, keep=_keep).items():
            _write(target / path, node)
        # Debian's own place, which packages of a merged /usr still name.
        (target / "usr/lib64").mkdir(parents=True, exist_ok=True)
        loader = target / "usr/lib64/ld-linux-x86-64.so.2"
        if not loader.is_symlink():
            loader.symlink_to("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        for name in rootfs.MERGED:
            (target / name).symlink_to(f"usr/{name}")
        for name, mode in _EMPTY.items():
            (target / name).mkdir()
            (target / name).chmod(mode)
        (target / "etc").mkdir()
        for name, text in (
            ("passwd", rootfs.PASSWD),
            ("group", rootfs.GROUP),
            ("nsswitch.conf", rootfs.NSSWITCH),
            # keepalived names its protocol in messages.
            ("protocols", "vrrp\t112\tVRRP\n"),
        ):
            (target / "etc" / name).write_text(text, encoding="utf-8")
        rootfs.remove(scratch)

    key = artefacts.digest(
        debian.key(*debian.package_set(PACKAGE_SET)), Path(__file__), Path(rootfs.__file__)
    )
    return artefacts.ensure("virtual-ip-root", key, build)


def _write(path: Path, node: oci.Node) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(node, oci.Directory):
        path.mkdir(exist_ok=True)
    elif isinstance(node, oci.Symlink):
        path.symlink_to(node.target)
    else:
        assert isinstance(node.source, Path)
        shutil.copyfile(node.source, path)
        os.chmod(path, node.mode)


def nodes() -> dict[str, oci.Node]:
    """Entries of the image's only layer."""
    modes = {name: oci.Directory(mode) for name, mode in _EMPTY.items()}
    return {**oci.tree(root()), **modes}
