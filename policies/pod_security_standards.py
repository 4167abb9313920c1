"""The Pod Security Standards, version by version as Kubernetes publishes them.

Source: k8s.io/pod-security-admission v0.36.3, package policy; a check's history there is a comparison with
`minor` here. Whatever is unknown is left out; whatever has the wrong type is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from policies.kubernetes import Container, Pod
from policies.resource import Judge, Resource
from policies.values import UNKNOWN, child, elements, entries, integer, known_text, safe_key, show

Level = Literal["privileged", "baseline", "restricted"]

NEWEST_MINOR: Final = 36
"""Newest minor version of Kubernetes whose standard is known here; later ones are judged by it."""
OPTIONS_RULE: Final = "namespace-pod-security"
"""Rule whose options `level` and `version` say which standard holds in a stack."""

_VERSION: Final = re.compile(r"v1\.([0-9]{1,3})")
_DEFAULT_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SYSCTLS: Final[Mapping[str, int]] = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}
"""Safe sysctls and the minor version since which they count as such."""
_SELINUX_TYPES: Final[Mapping[str, int]] = {
    "": 0,
    "container_t": 0,
    "container_init_t": 0,
    "container_kvm_t": 0,
    "container_engine_t": 31,
}
_VOLUME_TYPES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SECCOMP_TYPES: Final = ("RuntimeDefault", "Localhost")
_APP_ARMOR_TYPES: Final = ("RuntimeDefault", "Localhost")
_APP_ARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD_ANNOTATION: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_ANNOTATION: Final = "container.seccomp.security.alpha.kubernetes.io/"
_HOOKS: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


@dataclass(frozen=True)
class Standard:
    """A level at a version."""

    level: Level = "restricted"
    minor: int = NEWEST_MINOR

    @property
    def restricted(self) -> bool:
        """The stricter of the two."""
        return self.level == "restricted"


Check = Callable[[Pod, Standard], list[str]]
"""What is wrong with a pod by a standard other than privileged: `.path: what is there`, below its spec."""


def standard(resource: Resource) -> Standard:
    """The standard that holds where a resource belongs; the newest restricted one unless told otherwise."""
    level, version = (resource.option(OPTIONS_RULE, name) for name in ("level", "version"))
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    minor = min(int(match[1]), NEWEST_MINOR) if match else NEWEST_MINOR
    if level == "baseline":
        return Standard("baseline", minor)
    return Standard("privileged" if level == "privileged" else "restricted", minor)


def judged(check: Check) -> Judge:
    """A judge of every pod by the standard that holds."""

    def judge(resource: Resource) -> list[str]:
        if not resource.pods:
            return []
        by = standard(resource)
        if by.level == "privileged":
            return []
        return [f"{pod}{found}" for pod in resource.pods for found in check(pod, by)]

    return judge


def _set(value: object) -> bool:
    """Whether a field that must be absent or false is something else."""
    return value is not UNKNOWN and value is not None and value is not False


def _context(holder: Mapping[str, object], *keys: str) -> object:
    return child(holder, "securityContext", *keys)


def _holders(pod: Pod) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The pod and its containers, with the paths of their security contexts."""
    yield ".securityContext", pod.spec
    for container in pod.containers():
        yield f"{below(container)}.securityContext", container.body


def below(container: Container) -> str:
    """Path of a container below its pod's spec, with its name."""
    text = str(container).removeprefix(f"{container.pod.owner} ").removeprefix(container.pod.path)
    return text if text.startswith(".") else f".{text}"


def _windows(pod: Pod, since: int, by: Standard) -> bool:
    return by.minor >= since and child(pod.spec, "os", "name") == "windows"


def _own_users(pod: Pod, by: Standard) -> bool:
    """A pod in a user namespace, whose root is nobody on the node."""
    return by.minor >= 35 and pod.spec.get("hostUsers") is False


def run_as_non_root(pod: Pod, by: Standard) -> list[str]:
    """Restricted: Running as Non-root, and as a non-root user."""
    if not by.restricted or _own_users(pod, by):
        return []
    found: list[str] = []
    of_pod = _context(pod.spec, "runAsNonRoot")
    if of_pod not in (None, True, UNKNOWN):
        found.append(f".securityContext.runAsNonRoot: {show(of_pod)}")
    for container in pod.containers():
        own = _context(container.body, "runAsNonRoot")
        effective = of_pod if own is None else own
        if (
            effective is not UNKNOWN
            and effective is not True
            and (own is not None or of_pod in (None, UNKNOWN))
        ):
            found.append(f"{below(container)}.securityContext.runAsNonRoot: {show(effective)}")
    if by.minor >= 23:
        found += [
            f"{path}.runAsUser: {show(user)}"
            for path, holder in _holders(pod)
            for user in (_context(holder, "runAsUser"),)
            if user is not UNKNOWN and user is not None and (integer(user) or 0) <= 0
        ]
    return found


def privilege_escalation(pod: Pod, by: Standard) -> list[str]:
    """Restricted: Privilege Escalation."""
    if not by.restricted or by.minor < 8 or _windows(pod, 25, by):
        return []
    return [
        f"{below(container)}.securityContext.allowPrivilegeEscalation: {show(value)}"
        for container in pod.containers()
        for value in (_context(container.body, "allowPrivilegeEscalation"),)
        if value is not UNKNOWN and value is not False
    ]


def privileged(pod: Pod, by: Standard) -> list[str]:
    """Baseline: Privileged Containers."""
    return [
        f"{below(container)}.securityContext.privileged: {show(value)}"
        for container in pod.containers()
        for value in (_context(container.body, "privileged"),)
        if _set(value)
    ]


def capabilities(pod: Pod, by: Standard, more: frozenset[str] = frozenset()) -> list[str]:
    """Baseline and Restricted: Capabilities; `more` may be added, too."""
    strict = by.restricted and by.minor >= 22
    if strict and _windows(pod, 25, by):
        return []
    allowed = (frozenset({"NET_BIND_SERVICE"}) if strict else _DEFAULT_CAPABILITIES) | more
    found: list[str] = []
    for container in pod.containers():
        path = f"{below(container)}.securityContext.capabilities"
        dropped = _context(container.body, "capabilities", "drop")
        names = [item for _, item in elements(dropped)]
        if strict and dropped is not UNKNOWN and UNKNOWN not in names and "ALL" not in names:
            found.append(f"{path}.drop: ALL is missing")
        added = _context(container.body, "capabilities", "add")
        if added is UNKNOWN or not added:
            continue
        others = [
            item
            for _, item in elements(added)
            if item is not UNKNOWN and not (isinstance(item, str) and item in allowed)
        ]
        if others or not isinstance(added, list | tuple):
            found.append(f"{path}.add: {show(others or added)}")
    return found


def seccomp(pod: Pod, by: Standard) -> list[str]:
    """Baseline and Restricted: Seccomp."""
    if by.minor < 19:
        return _seccomp_annotations(pod)
    if by.restricted and _windows(pod, 25, by):
        return []
    of_pod = _context(pod.spec, "seccompProfile", "type")
    stated = _context(pod.spec, "seccompProfile") is not None
    found: list[str] = []
    if stated and of_pod is not UNKNOWN and of_pod not in _SECCOMP_TYPES:
        found.append(f".securityContext.seccompProfile.type: {known_text(of_pod, frozenset({'Unconfined'}))}")
    for container in pod.containers():
        own = _context(container.body, "seccompProfile", "type")
        path = f"{below(container)}.securityContext.seccompProfile.type"
        if _context(container.body, "seccompProfile") is not None:
            if own is not UNKNOWN and own not in _SECCOMP_TYPES:
                found.append(f"{path}: {known_text(own, frozenset({'Unconfined'}))}")
        elif by.restricted and not stated:
            found.append(f"{path}: is missing")
    return found


def _annotations(pod: Pod) -> Iterator[tuple[str, object]]:
    yield from entries(child(pod.metadata, "annotations"))


def _seccomp_annotations(pod: Pod) -> list[str]:
    """Up to v1.18 profiles were annotations."""
    names = {f"{_SECCOMP_ANNOTATION}{one.body.get('name')}" for one in pod.containers()}
    return [
        f" metadata.annotations[{safe_key(key)}]: is no allowed profile"
        for key, value in _annotations(pod)
        if (key == _SECCOMP_POD_ANNOTATION or key in names)
        and value is not UNKNOWN
        and not (
            isinstance(value, str)
            and (value in ("runtime/default", "docker/default") or value.startswith("localhost/"))
        )
    ]


def host_network(pod: Pod, by: Standard) -> list[str]:
    """Baseline: Host Namespaces, the network's."""
    value = pod.spec.get("hostNetwork")
    return [f".hostNetwork: {show(value)}"] if _set(value) else []


def host_namespaces(pod: Pod, by: Standard) -> list[str]:
    """Baseline: Host Namespaces, those of processes and IPC."""
    return [f".{key}: {show(pod.spec.get(key))}" for key in ("hostPID", "hostIPC") if _set(pod.spec.get(key))]


def host_ports(pod: Pod, by: Standard) -> list[str]:
    """Baseline: Host Ports."""
    return [
        f"{below(container)}.ports[{index}].hostPort: {show(value)}"
        for container in pod.containers()
        for index, port in elements(container.body.get("ports"))
        for value in (child(port, "hostPort"),)
        if value is not UNKNOWN and value is not None and not (value == 0 and not isinstance(value, bool))
    ]


def host_paths(pod: Pod, by: Standard, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Baseline: HostPath Volumes; those of the paths that are `allowed` may be mounted."""
    return [
        f".volumes[{index}].hostPath: {show(value)}"
        for index, volume in elements(pod.spec.get("volumes"))
        for value in (child(volume, "hostPath"),)
        if value is not None and value is not UNKNOWN and not is_one_of(child(value, "path"), allowed)
    ]


def is_one_of(path: object, allowed: frozenset[str]) -> bool:
    """Whether a path of the node is allowed, or not known yet; not those below it."""
    return path is UNKNOWN or (isinstance(path, str) and (path.rstrip("/") or "/") in allowed)


def volume_types(pod: Pod, by: Standard) -> list[str]:
    """Restricted: Volume Types; a volume that names no type is an emptyDir."""
    if not by.restricted:
        return []
    return [
        f".volumes[{index}].{safe_key(key)}: is a type of volume that is not allowed"
        for index, volume in elements(pod.spec.get("volumes"))
        for key, value in entries(volume)
        if key not in _VOLUME_TYPES and key not in ("name", "hostPath") and value is not None
    ]


def sysctls(pod: Pod, by: Standard) -> list[str]:
    """Baseline: Sysctls."""
    return [
        f".securityContext.sysctls[{index}].name: is not one of the safe sysctls"
        for index, item in elements(_context(pod.spec, "sysctls"))
        for name in (child(item, "name"),)
        if name is not UNKNOWN
        and item is not UNKNOWN
        and not (isinstance(name, str) and _SYSCTLS.get(name, NEWEST_MINOR + 1) <= by.minor)
    ]


def app_armor(pod: Pod, by: Standard) -> list[str]:
    """Baseline: AppArmor."""
    found = [
        f"{path}.appArmorProfile.type: {known_text(value, frozenset({'Unconfined'}))}"
        for path, holder in _holders(pod)
        for value in (_context(holder, "appArmorProfile", "type"),)
        if _context(holder, "appArmorProfile") is not None
        and value is not UNKNOWN
        and not (isinstance(value, str) and value in _APP_ARMOR_TYPES)
    ]
    found += [
        f" metadata.annotations[{safe_key(key)}]: is no allowed profile"
        for key, value in _annotations(pod)
        if key.startswith(_APP_ARMOR_ANNOTATION)
        and value is not UNKNOWN
        and not (
            isinstance(value, str) and (value in ("", "runtime/default") or value.startswith("localhost/"))
        )
    ]
    return found


def selinux(pod: Pod, by: Standard) -> list[str]:
    """Baseline: SELinux."""
    found: list[str] = []
    for path, holder in _holders(pod):
        kind = _context(holder, "seLinuxOptions", "type")
        allowed = kind is None or (
            isinstance(kind, str) and _SELINUX_TYPES.get(kind, NEWEST_MINOR + 1) <= by.minor
        )
        if kind is not UNKNOWN and not allowed:
            found.append(f"{path}.seLinuxOptions.type: is not one for containers")
        found += [
            f"{path}.seLinuxOptions.{key}: is set"
            for key in ("user", "role")
            for value in (_context(holder, "seLinuxOptions", key),)
            if value and value is not UNKNOWN
        ]
    return found


def proc_mount(pod: Pod, by: Standard) -> list[str]:
    """Baseline: /proc Mount Type; from v1.35 allowed in a user namespace by Baseline alone."""
    if not by.restricted and _own_users(pod, by):
        return []
    return [
        f"{below(container)}.securityContext.procMount: {known_text(value, frozenset({'Unmasked'}))}"
        for container in pod.containers()
        for value in (_context(container.body, "procMount"),)
        if value not in (None, "Default", UNKNOWN)
    ]


def host_process(pod: Pod, by: Standard) -> list[str]:
    """Baseline: HostProcess."""
    return [
        f"{path}.windowsOptions.hostProcess: {show(value)}"
        for path, holder in _holders(pod)
        for value in (_context(holder, "windowsOptions", "hostProcess"),)
        if _set(value)
    ]


def probe_hosts(pod: Pod, by: Standard) -> list[str]:
    """Baseline from v1.34: Host Probes and Lifecycle Hooks."""
    if by.minor < 34:
        return []
    return [
        f"{below(container)}.{'.'.join(keys)}.{kind}.host: is set"
        for container in pod.containers()
        for keys in _HOOKS
        for kind in ("httpGet", "tcpSocket")
        for value in (child(container.body, *keys, kind, "host"),)
        if value is not UNKNOWN and value not in (None, "")
    ]
