"""Starting, mending and removing the embedded cluster.

`up` compares what is with what should be and does only what is missing: the same command starts a new cluster, mends
a damaged one, and brings it back after a restart of the machine.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain import artefacts, golang, paths
from toolchain.cluster import (
    addons,
    cgroups,
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
    supervisor,
    sysctls,
)
from toolchain.cluster import checks
from toolchain.cluster import state as states
from toolchain.cluster.hosttools import HostTools
from toolchain.cluster.network import Ranges
from toolchain.cluster.state import State
from toolchain.cluster.supervisor import Service
from toolchain.errors import ToolchainError
from toolchain.process import run_logged
from toolchain.progress import step

_HOST_BINARIES = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "host-local",
    "kubeadm",
    "kubectl",
    "kubelet",
    "loopback",
    "portmap",
    "ptp",
)
_CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# Programs of the host that kubelet runs. It gets no others: with systemd-run in reach it would mount through systemd.
_KUBELET_COMMANDS = ("mount", "umount")
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEMD = Path("/run/systemd/system")
# Measured: 25 s on two idle cores; a loaded machine takes several times that.
_READY_SECONDS = 300
_CONTAINERD_SECONDS = 60


def binaries() -> dict[str, Path]:
    """Every binary of the cluster, on the host and in its images, built when missing."""
    in_images = {name for image in (*images.IMAGES, images.KWOK_IMAGE) for name in image.binaries}
    return golang.ensure_binaries(*sorted({*_HOST_BINARIES, *in_images}))


@contextmanager
def _exclusive() -> Iterator[None]:
    """One `up` or `down` at a time."""
    paths.CLUSTER.mkdir(parents=True, exist_ok=True)
    with layout.LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ToolchainError("another `cluster up` or `cluster down` is at work here; wait for it") from error
        yield


def _tree(cgroup: str) -> cgroups.Tree:
    return cgroups.Tree(cgroup, tuple(cgroups.hierarchies()))


def preflight() -> None:
    """Raise ToolchainError naming everything that keeps this machine from running the cluster. Changes nothing."""
    if not sys.platform.startswith("linux"):
        checks.check(checks.read("", frozenset()))
    state = states.load()
    own = frozenset(_tree(state.cgroup).pids()) if state and state.cgroup else frozenset()
    checks.check(checks.read(state.node_address if state else "", own))


def up(kwok_nodes: Sequence[str] = ()) -> None:
    """Start the cluster, or mend it; a cluster that is well is left alone.

    :param kwok_nodes: specifications of simulated nodes, see :mod:`toolchain.cluster.kwok`; those of earlier calls stay.
    :raises ToolchainError: a failed check, or a step that did not succeed.
    """
    simulated = kwok.expand(kwok_nodes)
    preflight()
    with _exclusive():
        _Up(states.load() or State(), binaries(), hosttools.ensure()).run(simulated)


def containerd_client() -> containerd.Client:
    """`ctr` on the running cluster's containerd; raises ToolchainError when the cluster is down."""
    ctr = golang.ensure_binaries("ctr")["ctr"]
    return containerd.Client(containerd.client_arguments(ctr, _enter_arguments()))


def _enter_arguments() -> list[str]:
    running = supervisor.recorded().supervisor
    if running is None:
        raise ToolchainError("the embedded cluster is not running; start it with `python3 -m toolchain cluster up`")
    # An absolute script path instead of -m: the caller's working directory does not matter.
    code = f"import sys; sys.path.insert(0, {str(paths.ROOT)!r}); from toolchain.cluster.enter import main; main(sys.argv[1:])"
    return [sys.executable, "-I", "-c", code, str(running.pid)]


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
            self._wait("node and system pods are ready", lambda: not unready(self._cluster()), _READY_SECONDS, "kubelet")
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
        wanted = [*mountns.missing_mount_points(), *(p for q in layout.CREATED_BY_PODS for p in mountns.missing_parents(q))]
        state.created_paths += [str(path) for path in dict.fromkeys(wanted) if str(path) not in state.created_paths]
        state.save()

        for mount in layout.MOUNTS:
            mount.target.mkdir(parents=True, exist_ok=True)
        network.ensure_link(self.tools, self.ranges)
        sysctls.enable_forwarding()
        paths.VOLUMES.mkdir(parents=True, exist_ok=True)
        # Volumes are writable for everybody, so that pods of any user can use them; other users of the host cannot
        # get through here.
        paths.VOLUMES.chmod(0o700)
        paths.PUBLISHED_MODELS.mkdir(parents=True, exist_ok=True)

    # Files and services

    def _write_files(self) -> None:
        for directory in (layout.KUBERNETES, layout.KUBELET, layout.ETCD, layout.CONTAINERD_ROOT, layout.COMMANDS):
            directory.mkdir(parents=True, exist_ok=True)
        layout.ETCD.chmod(0o700)
        for command in _KUBELET_COMMANDS:
            found = shutil.which(command, path=_SYSTEM_PATH)
            if found is None:
                raise ToolchainError(f"`{command}` is missing on this machine; install util-linux")
            link = layout.COMMANDS / command
            if not link.is_symlink():
                link.symlink_to(found)
        layout.POD_LOGS.mkdir(parents=True, exist_ok=True)
        upstream = network.upstream_name_servers(network.host_resolv_conf())
        layout.RESOLV_CONF.write_text("".join(f"nameserver {server}\n" for server in upstream))
        # The pod range of the node is the first of the cluster's, as the controller manager gives it to the first node.
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
            kubeadm.Options(self.ranges, self.state.cgroup, cgroups.version(cgroups.hierarchies())), self._image_keys()
        )
        shim = self.binaries["containerd-shim-runc-v2"].parent
        supervisor.write_services(
            [
                Service(
                    "containerd",
                    (str(self.binaries["containerd"]), f"--config={layout.CONTAINERD_CONFIG}"),
                    environment=(("PATH", f"{self.tools.directory}:{shim}:{_SYSTEM_PATH}"),),
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
        if not processes.wait_until(lambda: supervisor.recorded().supervisor is not None, 20):
            raise ToolchainError(f"the cluster's supervisor did not start; see {layout.SERVICE_LOGS / 'supervisor.log'}")
        self.state.mount_namespace = supervisor.recorded().mount_namespace
        self.state.save()

    def _start_supervisor(self) -> None:
        # Not -m: the package imports the module first, and it would exist twice.
        argv = [sys.executable, "-c", "import sys; from toolchain.cluster.supervisor import main; sys.exit(main())"]
        environment = {"PATH": _SYSTEM_PATH, "PYTHONPATH": str(paths.ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        if self.state.systemd_unit:
            # The group is delegated: below it, containerd and kubelet may do as they like. Pods outlive the supervisor.
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
        return containerd.Client(containerd.client_arguments(self.binaries["ctr"], _enter_arguments()))

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
            [*_enter_arguments(), str(self.binaries["kubeadm"]), *arguments],
            log="cluster/kubeadm",
            env={**environment, **without_proxy},
        )

    def _write_kubeconfig(self) -> None:
        raw = self._kubectl("config", "view", "--raw", "--output=json", kubeconfig=layout.KUBERNETES / "admin.conf")
        text = json.dumps(kubeadm.kubeconfig(json.loads(raw)), indent=1) + "\n"
        if paths.KUBECONFIG.exists() and paths.KUBECONFIG.read_text() == text:
            return
        descriptor = os.open(paths.KUBECONFIG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    def _kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path = paths.KUBECONFIG) -> str:
        return kubectl(self.binaries["kubectl"], *arguments, stdin=stdin, kubeconfig=kubeconfig)

    def _api_ready(self) -> bool:
        try:
            return self._kubectl("get", "--raw=/readyz", "--request-timeout=3s").strip() == "ok"
        except ToolchainError:
            return False

    # Objects

    def _apply(self, objects: Sequence[addons.Manifest]) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self._kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=autoglm-toolchain", "--filename=-", stdin=document
        )

    def _ensure_addons(self) -> None:
        upstream = network.upstream_name_servers(layout.RESOLV_CONF.read_text())
        objects = addons.manifests(self.ranges, upstream)
        addons.annotate_images(objects, self._image_keys())
        digest = artefacts.digest(json.dumps(objects))
        if digest != self.state.addons or not self._marker_exists():
            self._apply(objects)
            self.state.addons = digest
            self.state.save()

    def _marker_exists(self) -> bool:
        found = self._kubectl(
            "get", "configmap", layout.NAME, f"--namespace={addons.NAMESPACE}", "--ignore-not-found", "--output=name"
        )
        return bool(found.strip())

    def _simulate(self, nodes: Sequence[kwok.SimulatedNode]) -> None:
        archive = images.archive(images.KWOK_IMAGE, self.binaries)
        self._import({images.KWOK_IMAGE: archive})
        objects = kwok.manifests(nodes, stages(_module_directory("sigs.k8s.io/kwok")))
        addons.annotate_images(objects, {"kwok": archive.parent.name})
        self._apply(objects)

    # Waiting

    def _cluster(self) -> dict[str, Any]:
        kinds = "nodes,pods,deployments.apps,daemonsets.apps"
        try:
            text = self._kubectl("get", kinds, f"--namespace={addons.NAMESPACE}", "--output=json", "--request-timeout=5s")
        except ToolchainError:
            return {"items": []}
        data: dict[str, Any] = json.loads(text)
        return data

    def _wait(self, what: str, condition: Any, seconds: float, log: str) -> None:
        if processes.wait_until(condition, seconds, 0.25):
            return
        waiting = unready(self._cluster()) if paths.KUBECONFIG.exists() else []
        detail = f"; not ready: {', '.join(waiting)}" if waiting else ""
        raise ToolchainError(
            f"embedded cluster: after {seconds:.0f} s it is still not so that {what}{detail}; "
            f"see {layout.SERVICE_LOGS / log}.log, then run `make down` and `make up`"
        )


def kubectl(program: Path, *arguments: str, stdin: str | None = None, kubeconfig: Path = paths.KUBECONFIG) -> str:
    """Standard output of kubectl; raises ToolchainError with its standard error when it fails."""
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": _SYSTEM_PATH, "HOME": str(paths.CLUSTER)}
    command = [str(program), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ToolchainError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _module_directory(module: str) -> Path:
    """Where Go keeps the module's files."""
    command = [str(golang.go()), "list", "-m", "-f", "{{.Dir}}", module]
    done = subprocess.run(
        command, cwd=paths.GO_MODULE, env={**os.environ, **golang.environment()}, capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise ToolchainError(f"`go list -m {module}` failed: {done.stderr.strip()}; run `make up` with network access")
    return Path(done.stdout.strip())


def stages(module: Path) -> str:
    """kwok's life cycles of nodes and pods, from its module: without them simulated pods stay pending."""
    files = [
        *sorted((module / "kustomize/stage/node/fast").glob("*.yaml")),
        *sorted((module / "kustomize/stage/node/heartbeat-with-lease").glob("*.yaml")),
        *sorted((module / "kustomize/stage/pod/fast").glob("*.yaml")),
    ]
    return "\n---\n".join(file.read_text() for file in files if file.name != "kustomization.yaml")


def unready(cluster: Mapping[str, Any]) -> list[str]:
    """What is missing in a list of nodes, pods, Deployments and DaemonSets; "everything" for an empty one."""
    items = cluster["items"]
    waiting = []
    names = {item["metadata"]["name"] for item in items}
    if layout.NODE not in names:
        return [f"node {layout.NODE}"]
    for item in items:
        kind, name, status = item["kind"], item["metadata"]["name"], item.get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
        if kind == "Node":
            ok = conditions.get("Ready") == "True"
        elif kind == "Pod":
            ok = conditions.get("Ready") == "True" or status.get("phase") == "Succeeded"
            ok = ok and "deletionTimestamp" not in item["metadata"]
        elif kind == "Deployment":
            current = status.get("observedGeneration") == item["metadata"]["generation"]
            ok = current and status.get("availableReplicas", 0) >= item["spec"]["replicas"] == status.get("updatedReplicas", 0)
        else:
            current = status.get("observedGeneration") == item["metadata"]["generation"]
            wanted = status.get("desiredNumberScheduled", 0)
            ok = current and wanted > 0 and status.get("numberReady", 0) == wanted == status.get("updatedNumberScheduled", 0)
        if not ok:
            waiting.append(f"{kind.lower()} {name}")
    pods = {item["metadata"]["name"] for item in items if item["kind"] == "Pod"}
    for component in kubeadm.CPU_REQUESTS:
        if f"{component}-{layout.NODE}" not in pods:
            waiting.append(f"pod {component}")
    return waiting


@dataclass(frozen=True)
class Status:
    """What `cluster status` says."""

    running: bool
    ready: bool
    node_address: str
    waiting: tuple[str, ...]
    services: tuple[str, ...]

    def __str__(self) -> str:
        if not self.running:
            return "embedded cluster: down"
        state = "ready" if self.ready else f"not ready: {', '.join(self.waiting)}"
        return f"embedded cluster: {state}; node {layout.NODE} {self.node_address}; services {', '.join(self.services)}"


def status() -> Status:
    """How the cluster is; starts and builds nothing."""
    state, recorded = states.load(), supervisor.recorded()
    if state is None or recorded.supervisor is None:
        return Status(False, False, state.node_address if state else "", (), ())
    waiting = ["API server"]
    if paths.KUBECONFIG.exists() and (paths.BIN / "kubectl").exists():
        try:
            kinds = "nodes,pods,deployments.apps,daemonsets.apps"
            text = kubectl(
                paths.BIN / "kubectl", "get", kinds, f"--namespace={addons.NAMESPACE}", "--output=json", "--request-timeout=5s"
            )
            waiting = unready(json.loads(text))
        except ToolchainError:
            pass
    return Status(True, not waiting, state.node_address, tuple(waiting), tuple(sorted(recorded.services)))


def down() -> None:
    """Remove the cluster, its data and everything it left on the host. What was built stays.

    :raises ToolchainError: not root, or something that could not be removed, by name.
    """
    if not layout.STATE.exists():
        return
    if os.geteuid() != 0:
        raise ToolchainError(f"user id {os.geteuid()}: removing the embedded cluster needs root; run `sudo make down`")
    try:
        state = states.load() or State()
    except ToolchainError:
        # Unreadable: what it recorded is lost, what has the cluster's name can still be removed.
        state = State(cgroup=f"/{layout.cgroup_name()}", nft_tables=netlink.nft_tables())
    with _exclusive(), step("remove the embedded cluster") as progress:
        left = _remove(state, progress.update)
        if left:
            raise ToolchainError(
                f"the embedded cluster is stopped, but could not remove: {', '.join(left)}; end what uses them and run "
                "`make down` again, or restart the machine"
            )
        shutil.rmtree(paths.CLUSTER)


def _remove(state: State, say: Any) -> list[str]:
    """Undo what `up` did; returns what resisted."""
    left: list[str] = []
    say("processes")
    recorded = supervisor.recorded()
    if state.systemd_unit:
        subprocess.run(["systemctl", "stop", state.systemd_unit], capture_output=True, check=False)
    if recorded.supervisor:
        processes.end([recorded.supervisor], 40)
    tree = _tree(state.cgroup or f"/{layout.cgroup_name()}")
    left += [f"process {pid} ({processes.name(pid)})" for pid in tree.kill()]
    say("control groups")
    left += [f"control group {group}" for group in tree.remove()]
    say("network")
    network.remove(hosttools.ensure(), state.nft_tables)
    left += [f"kernel parameter {name}" for name in sysctls.restore(state.sysctls)]
    say("files")
    for created in reversed(state.created_paths):
        path = Path(created)
        try:
            if path.is_dir():
                path.rmdir()
            elif path.exists() and path.stat().st_size == 0:
                path.unlink()
        except OSError:
            left.append(created)
    for directory in (paths.VOLUMES, layout.POD_LOGS):
        shutil.rmtree(directory, ignore_errors=True)
    paths.KUBECONFIG.unlink(missing_ok=True)
    for child in paths.CLUSTER.iterdir():
        # The record and the lock go last: until then `down` can be repeated.
        if child not in (layout.STATE, layout.LOCK):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    return left
