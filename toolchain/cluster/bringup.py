"""Starting and mending the embedded cluster.

`up` compares what is with what should be and does only what is missing: the same command starts a new
cluster, mends a damaged one, and brings it back after a restart of the machine.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolchain import artefacts, golang, paths
from toolchain.cluster import (
    addons,
    cgroups,
    checks,
    commands,
    containerd,
    hosttools,
    images,
    kubeadm,
    kwok,
    layout,
    linux,
    mountns,
    netlink,
    network,
    processes,
    readiness,
    supervisor,
    sysctls,
)
from toolchain.cluster import state as states
from toolchain.cluster.commands import SYSTEM_PATH
from toolchain.cluster.hosttools import HostTools
from toolchain.cluster.network import Ranges
from toolchain.cluster.state import State
from toolchain.cluster.supervisor import Service
from toolchain.errors import ToolchainError
from toolchain.process import run_logged
from toolchain.progress import step

_CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# Programs of the host that kubelet runs. It gets no others: with systemd-run in reach it would mount through
# systemd.
_KUBELET_COMMANDS = ("mount", "umount")
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_SYSTEMD = Path("/run/systemd/system")
# Measured: 25 s on two idle cores; a loaded machine takes several times that.
_READY_SECONDS = 600
_CONTAINERD_SECONDS = 120
_SUPERVISOR_SECONDS = 60


def preflight() -> None:
    """Raise ToolchainError naming everything that keeps this machine from running the cluster.

    Changes nothing.
    """
    if not sys.platform.startswith("linux"):
        checks.check(checks.read("", frozenset()))
    state = states.load()
    own = frozenset(commands.tree(state.cgroup).pids()) if state and state.cgroup else frozenset()
    checks.check(checks.read(state.node_address if state else "", own))


def up(kwok_nodes: Sequence[str | kwok.SimulatedNode] = ()) -> None:
    """Start the cluster, or mend it; a cluster that is well is left alone.

    :param kwok_nodes: simulated nodes, or specifications of such, see :mod:`toolchain.cluster.kwok`; those
        of earlier calls stay.
    :raises ToolchainError: a failed check, or a step that did not succeed.
    """
    simulated = kwok.expand(kwok_nodes)
    preflight()
    with commands.exclusive():
        _Up(states.load() or State(), commands.binaries(), hosttools.ensure()).run(simulated)


class _Up:
    """One run of `up`."""

    def __init__(self, state: State, binaries: Mapping[str, Path], tools: HostTools) -> None:
        self.state = state
        self.binaries = binaries
        self.tools = tools
        self.archives = {image: images.archive(image, binaries) for image in images.IMAGES}

    @property
    def ranges(self) -> Ranges:
        return Ranges(
            ipaddress.IPv4Address(self.state.node_address),
            ipaddress.IPv4Network(self.state.pod_range),
            ipaddress.IPv4Network(self.state.service_range),
        )

    def run(self, simulated: Sequence[kwok.SimulatedNode]) -> None:
        with step("embedded cluster") as progress:
            progress.update("host")
            self._prepare_host()
            self._write_files()
            progress.update("containerd and kubelet")
            self._ensure_supervisor()
            self._wait("containerd answers", self._client().ready, _CONTAINERD_SECONDS, "containerd")
            progress.update("images")
            self._import({image: self.archives[image] for image in images.IMAGES})
            progress.update("control plane")
            self._ensure_control_plane()
            self._write_kubeconfig()
            self._wait("the API server is ready", self._api_ready, _READY_SECONDS, "kubelet")
            progress.update("add-ons")
            self._ensure_addons()
            if simulated:
                progress.update("simulated nodes")
                self._simulate(simulated)
            progress.update("waiting for pods")
            self._wait("node and system pods are ready", self._all_ready, _READY_SECONDS, "kubelet")
            progress.update(f"{layout.NODE} {self.ranges.node} ready")

    # Host

    def _prepare_host(self) -> None:
        state = self.state
        boot = (processes.PROC / "sys/kernel/random/boot_id").read_text().strip()
        if not state.node_address:
            chosen = network.choose_ranges(network.used_networks())
            state.node_address, state.pod_range, state.service_range = map(
                str, (chosen.node, chosen.pods, chosen.services)
            )
        if not state.cgroup:
            systemd = _SYSTEMD.is_dir() and cgroups.version(cgroups.hierarchies()) == 2
            # Below systemd the tree is one that it hands over; elsewhere it is the cluster's own.
            state.systemd_unit = f"{layout.cgroup_name()}.service" if systemd else ""
            state.cgroup = f"/system.slice/{state.systemd_unit}" if systemd else f"/{layout.cgroup_name()}"
        if state.boot != boot:
            state.boot = boot
            state.sysctls = sysctls.read()
            state.nft_tables = netlink.nft_tables()
        wanted = [
            *mountns.missing_mount_points(),
            *(p for q in layout.CREATED_BY_PODS for p in mountns.missing_parents(q)),
        ]
        state.created_paths += [
            str(path) for path in dict.fromkeys(wanted) if str(path) not in state.created_paths
        ]
        state.save()

        for mount in layout.MOUNTS:
            mount.target.mkdir(parents=True, exist_ok=True)
        network.ensure_link(self.tools, self.ranges)
        sysctls.enable_forwarding()
        paths.VOLUMES.mkdir(parents=True, exist_ok=True)
        # Volumes are writable for everybody, so that pods of any user can use them; other users of the host
        # cannot get through here.
        paths.VOLUMES.chmod(0o700)
        paths.PUBLISHED_MODELS.mkdir(parents=True, exist_ok=True)

    # Files and services

    def _write_files(self) -> None:
        for directory in (
            layout.KUBERNETES,
            layout.KUBELET,
            layout.ETCD,
            layout.CONTAINERD_ROOT,
            layout.COMMANDS,
        ):
            directory.mkdir(parents=True, exist_ok=True)
        layout.ETCD.chmod(0o700)
        for command in _KUBELET_COMMANDS:
            found = shutil.which(command, path=SYSTEM_PATH)
            if found is None:
                raise ToolchainError(f"`{command}` is missing on this machine; install util-linux")
            link = layout.COMMANDS / command
            if not link.is_symlink():
                link.symlink_to(found)
        layout.POD_LOGS.mkdir(parents=True, exist_ok=True)
        upstream = network.upstream_name_servers(network.host_resolv_conf())
        layout.RESOLV_CONF.write_text("".join(f"nameserver {server}\n" for server in upstream))
        # The pod range of the node is the first of the cluster's, as the controller manager gives it to the
        # first node.
        network.write_cni(layout.CNI_CONFIG, str(next(self.ranges.pods.subnets(new_prefix=24))))

        mountinfo = (processes.PROC / "self/mountinfo").read_text()
        status = (processes.PROC / "self/status").read_text()
        text = containerd.configuration(
            containerd.Options(
                runc=self.tools.path("runc"),
                cni_plugins=tuple(self.binaries[name].parent for name in _CNI_PLUGINS),
                snapshotter=containerd.snapshotter(containerd.filesystem_of(paths.CLUSTER, mountinfo)),
                restrict_oom_score=not linux.may_lower_oom_score(status),
            )
        )
        layout.CONTAINERD_CONFIG.write_text(text)
        self.kubeadm_digest = kubeadm.write(
            kubeadm.Options(self.ranges, self.state.cgroup, cgroups.version(cgroups.hierarchies())),
            self._image_keys(),
        )
        shim = self.binaries["containerd-shim-runc-v2"].parent
        supervisor.write_services(
            [
                Service(
                    "containerd",
                    (str(self.binaries["containerd"]), f"--config={layout.CONTAINERD_CONFIG}"),
                    environment=(("PATH", f"{self.tools.directory}:{shim}:{SYSTEM_PATH}"),),
                    generation=artefacts.digest(text),
                ),
                Service(
                    "kubelet",
                    kubeadm.kubelet_arguments(self.binaries["kubelet"], self.ranges),
                    environment=(("PATH", f"{self.tools.directory}:{layout.COMMANDS}"),),
                    # kubeadm writes the first last, on its first run.
                    requires=(str(layout.KUBELET_CONFIG), str(layout.KUBELET_KUBECONFIG)),
                    generation=self.kubeadm_digest,
                ),
            ],
            self.state.cgroup,
        )

    def _image_keys(self) -> dict[str, str]:
        return {image.binaries[0]: archive.parent.name for image, archive in self.archives.items()}

    def _ensure_supervisor(self) -> None:
        running = supervisor.recorded().supervisor
        if running:
            processes.send(running, signal.SIGHUP)
        else:
            self._start_supervisor()
        if not processes.wait_until(
            lambda: supervisor.recorded().supervisor is not None, _SUPERVISOR_SECONDS
        ):
            raise ToolchainError(
                f"the cluster's supervisor did not start; see {layout.SERVICE_LOGS / 'supervisor.log'}"
            )
        self.state.mount_namespace = supervisor.recorded().mount_namespace
        self.state.save()

    def _start_supervisor(self) -> None:
        # Not -m: the package imports the module first, and it would exist twice.
        argv = [
            sys.executable,
            "-c",
            "import sys; from toolchain.cluster.supervisor import main; sys.exit(main())",
        ]
        environment = {"PATH": SYSTEM_PATH, "PYTHONPATH": str(paths.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        if self.state.systemd_unit:
            # The group is delegated: below it, containerd and kubelet may do as they like. Pods outlive the
            # supervisor.
            properties = ["Delegate=yes", "KillMode=process", "TasksMax=infinity", "LimitNOFILE=1048576"]
            unit = self.state.systemd_unit
            command = ["systemd-run", f"--unit={unit}", "--slice=system.slice", "--collect", "--quiet"]
            command += [f"--property={value}" for value in properties]
            command += [f"--setenv={key}={value}" for key, value in environment.items()]
            log = layout.SERVICE_LOGS / "supervisor.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            command += [f"--property=StandardOutput=append:{log}", f"--property=StandardError=append:{log}"]
            subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)
            done = subprocess.run([*command, *argv], capture_output=True, text=True, check=False)
            if done.returncode:
                raise ToolchainError(f"systemd-run {unit} failed: {done.stderr.strip()}")
            return
        with supervisor.open_log(layout.SERVICE_LOGS / "supervisor.log") as log_file:
            subprocess.Popen(
                argv,
                cwd=paths.ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # Images

    def _client(self) -> containerd.Client:
        return containerd.Client(
            containerd.client_arguments(self.binaries["ctr"], commands.enter_arguments())
        )

    def _import(self, archives: Mapping[images.Image, Path]) -> None:
        client = self._client()
        present = client.images()
        for image, archive in archives.items():
            key = archive.parent.name
            if image.reference in present and self.state.images.get(image.reference) == key:
                continue
            client.import_archive(archive)
            self.state.images[image.reference] = key
            self.state.save()

    # Control plane

    def _ensure_control_plane(self) -> None:
        if self.state.control_plane == self.kubeadm_digest and (layout.KUBERNETES / "admin.conf").exists():
            return
        self._run_kubeadm("init", f"--config={layout.KUBEADM_CONFIG}")
        self.state.control_plane = self.kubeadm_digest
        # kubeadm has written its own DNS configuration over ours.
        self.state.addons = ""
        self.state.save()
        if running := supervisor.recorded().services.get("kubelet"):
            # It has read its configuration before kubeadm may have changed it.
            processes.send(running, signal.SIGTERM)

    def _run_kubeadm(self, *arguments: str) -> None:
        # A path without systemctl: kubeadm would otherwise start a kubelet unit that the host may have.
        environment = {"PATH": f"{self.tools.directory}:{layout.COMMANDS}"}
        without_proxy = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        run_logged(
            [*commands.enter_arguments(), str(self.binaries["kubeadm"]), *arguments],
            log="cluster/kubeadm",
            env={**environment, **without_proxy},
        )

    def _write_kubeconfig(self) -> None:
        raw = self._kubectl(
            "config", "view", "--raw", "--output=json", kubeconfig=layout.KUBERNETES / "admin.conf"
        )
        text = json.dumps(kubeadm.kubeconfig(json.loads(raw)), indent=1) + "\n"
        if paths.KUBECONFIG.exists() and paths.KUBECONFIG.read_text() == text:
            return
        descriptor = os.open(paths.KUBECONFIG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    def _kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path = paths.KUBECONFIG) -> str:
        return commands.kubectl(self.binaries["kubectl"], *arguments, stdin=stdin, kubeconfig=kubeconfig)

    def _api_ready(self) -> bool:
        try:
            return self._kubectl("get", "--raw=/readyz", "--request-timeout=3s").strip() == "ok"
        except ToolchainError:
            return False

    # Objects

    def _apply(self, objects: Sequence[addons.Manifest]) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self._kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=autoglm-toolchain",
            "--filename=-",
            stdin=document,
        )

    def _apply_definitions(self) -> None:
        """Custom resource definitions of cert-manager, those without ACME, and of prometheus-operator."""
        folder = _module_directory(_CERT_MANAGER, paths.CERT_MANAGER_MODULE) / "deploy" / "crds"
        kinds = ("certificaterequests", "certificates", "clusterissuers", "issuers")
        files = [f"--filename={folder / f'cert-manager.io_{kind}.yaml'}" for kind in kinds]
        module = _module_directory(_PROMETHEUS_OPERATOR, paths.PROMETHEUS_MODULE)
        files.append(f"--filename={module / 'example' / 'prometheus-operator-crd'}")
        manager = "--field-manager=autoglm-toolchain"
        self._kubectl("apply", "--server-side", "--force-conflicts", manager, *files)

    def _ensure_addons(self) -> None:
        upstream = network.upstream_name_servers(layout.RESOLV_CONF.read_text())
        objects = addons.manifests(self.ranges, upstream)
        addons.annotate_images(objects, self._image_keys())
        digest = artefacts.digest(json.dumps(objects))
        if digest != self.state.addons or not self._marker_exists():
            self._apply_definitions()
            self._apply(objects)
            self.state.addons = digest
            self.state.save()

    def _marker_exists(self) -> bool:
        found = self._kubectl(
            "get",
            "configmap",
            layout.NAME,
            f"--namespace={addons.NAMESPACE}",
            "--ignore-not-found",
            "--output=name",
        )
        return bool(found.strip())

    def _simulate(self, nodes: Sequence[kwok.SimulatedNode]) -> None:
        archive = images.archive(images.KWOK_IMAGE, self.binaries)
        self._import({images.KWOK_IMAGE: archive})
        objects = kwok.manifests(nodes, stages(_module_directory("sigs.k8s.io/kwok")))
        addons.annotate_images(objects, {"kwok": archive.parent.name})
        self._apply(objects)

    # Waiting

    def _all_ready(self) -> bool:
        # What the API server says of a pod that just died is still the old; the processes themselves know
        # better.
        services = supervisor.recorded().services
        if not {"containerd", "kubelet"} <= services.keys():
            return False
        node = str(self.ranges.node)
        probes = (
            (node, 10256, "/healthz"),
            ("127.0.0.1", 10248, "/healthz"),
            ("127.0.0.1", 20244, "/healthz"),
        )
        return all(readiness.answers(*probe) for probe in probes) and not readiness.unready(self._cluster())

    def _cluster(self) -> dict[str, Any]:
        kinds = "nodes,pods,deployments.apps,daemonsets.apps"
        try:
            text = self._kubectl(
                "get", kinds, f"--namespace={addons.NAMESPACE}", "--output=json", "--request-timeout=5s"
            )
        except ToolchainError:
            return {"items": []}
        data: dict[str, Any] = json.loads(text)
        return data

    def _wait(self, what: str, condition: Any, seconds: float, log: str) -> None:
        if processes.wait_until(condition, seconds, 0.25):
            return
        waiting = readiness.unready(self._cluster()) if paths.KUBECONFIG.exists() else []
        detail = f"; not ready: {', '.join(waiting)}" if waiting else ""
        raise ToolchainError(
            f"embedded cluster: after {seconds:.0f} s it is still not so that {what}{detail}; "
            f"see {layout.SERVICE_LOGS / log}.log, then run `make down` and `make up`"
        )


def _module_directory(module: str, within: Path = paths.GO_MODULE) -> Path:
    """Where Go keeps the files of a module that the one at `within` requires."""
    command = [str(golang.go()), "list", "-m", "-f", "{{.Dir}}", module]
    done = subprocess.run(
        command,
        cwd=within,
        env={**os.environ, **golang.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise ToolchainError(
            f"`go list -m {module}` failed: {done.stderr.strip()}; run `make up` with network access"
        )
    return Path(done.stdout.strip())


def stages(module: Path) -> str:
    """kwok's life cycles of nodes and pods, from its module: without them simulated pods stay pending."""
    files = [
        *sorted((module / "kustomize/stage/node/fast").glob("*.yaml")),
        *sorted((module / "kustomize/stage/node/heartbeat-with-lease").glob("*.yaml")),
        *sorted((module / "kustomize/stage/pod/fast").glob("*.yaml")),
    ]
    return "\n---\n".join(file.read_text() for file in files if file.name != "kustomization.yaml")
