"""Images of the cluster itself: static binaries, beside Debian's network tools where a binary calls them.

Each is an OCI layout in a tar archive, the same bytes for the same inputs, imported under the name that
kubeadm and the cluster's manifests use.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain import artefacts, debian
from toolchain.cluster import layout
from toolchain.images import oci

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where Debian's iptables keeps its personalities; the cluster's images use the one on nf_tables.
_IPTABLES = (
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
)


@dataclass(frozen=True)
class Image:
    """An image: binaries at /usr/local/bin, and the process that it starts."""

    reference: str
    binaries: tuple[str, ...]
    entrypoint: tuple[str, ...]
    user: str = "0:0"
    # Set of debian.lock.json that is unpacked into the image.
    packages: str = ""
    links: tuple[tuple[str, str], ...] = ()


def _single(name: str, reference: str, user: str = "0:0", packages: str = "") -> Image:
    links = tuple((f"usr/sbin/{command}", "xtables-nft-multi") for command in _IPTABLES) if packages else ()
    return Image(reference, (name,), (f"/usr/local/bin/{name}",), user, packages, links)


_KUBERNETES = layout.KUBERNETES_VERSION
_NOBODY = "65532:65532"
IMAGES: Sequence[Image] = (
    # Static pods name the binary without its path.
    _single("kube-apiserver", layout.image("kube-apiserver", _KUBERNETES)),
    _single("kube-controller-manager", layout.image("kube-controller-manager", _KUBERNETES)),
    _single("kube-scheduler", layout.image("kube-scheduler", _KUBERNETES)),
    _single("kube-proxy", layout.image("kube-proxy", _KUBERNETES), packages="images.cluster"),
    Image(
        layout.image("etcd", layout.ETCD_VERSION), ("etcd", "etcdctl", "etcdutl"), ("/usr/local/bin/etcd",)
    ),
    _single("coredns", layout.image("coredns", layout.COREDNS_VERSION), user=_NOBODY),
    _single("pause", layout.PAUSE_IMAGE, user=_NOBODY),
    _single("network-policy-controller", layout.POLICY_IMAGE, packages="images.cluster"),
    _single("local-volume-provisioner", layout.PROVISIONER_IMAGE),
    _single("cert-manager-controller", layout.CERT_MANAGER_IMAGE, user=_NOBODY),
    _single("prometheus-operator", layout.PROMETHEUS_OPERATOR_IMAGE, user=_NOBODY),
    # prometheus-operator puts it beside every Prometheus and Alertmanager, and names it by its path.
    Image(
        layout.CONFIG_RELOADER_IMAGE,
        ("prometheus-config-reloader",),
        ("/bin/prometheus-config-reloader",),
        _NOBODY,
        links=(("bin/prometheus-config-reloader", "../usr/local/bin/prometheus-config-reloader"),),
    ),
)
KWOK_IMAGE = _single("kwok", layout.KWOK_IMAGE, user=_NOBODY)


def archive(image: Image, binaries: Mapping[str, Path]) -> Path:
    """The image's archive, written when it is missing. Its directory's name identifies the content."""
    # A binary's artefact is named by the digest of all that it is built from.
    inputs = [f"{name} {binaries[name].resolve().parent.name}" for name in image.binaries]
    if image.packages:
        inputs.append(debian.key(*debian.package_set(image.packages)))
    key = artefacts.digest("cluster image 1", repr(image), *inputs)
    name = image.reference.rpartition("/")[2].partition(":")[0]
    return (
        artefacts.ensure(f"cluster-images/{name}", key, lambda place: _write(image, binaries, place))
        / "image.tar"
    )


def _write(image: Image, binaries: Mapping[str, Path], place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        nodes: dict[str, oci.Node] = {link: oci.Symlink(target) for link, target in image.links}
        if image.packages:
            root = Path(scratch) / "root"
            packages = debian.fetch(*debian.package_set(image.packages))
            debian.extract((packages[name] for name in sorted(packages)), root)
            # Documentation and translations are of no use to a process.
            nodes |= oci.tree(root, keep=lambda path: not path.startswith("usr/share"))
        for name in image.binaries:
            nodes[f"usr/local/bin/{name}"] = oci.File(binaries[name].resolve(), 0o755)
        layer = oci.write_layer(nodes, Path(scratch) / "layer.tar")
        config = oci.Config(entrypoint=image.entrypoint, environment={"PATH": _PATH}, user=image.user)
        with (place / "image.tar").open("wb") as out:
            oci.write_archive(out, oci.assemble([layer], config), [image.reference])
