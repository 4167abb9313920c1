"""Rules on what a pod may do to its node: the restricted Pod Security Standard, and a little more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.kubernetes import Container, Pod, each_container, each_pod, malformed_pods, of_kind
from policies.rule import Rule
from policies.values import UNKNOWN, child, elements, entries, integer, known_text, safe_key, show

Properties = Mapping[str, object]

_PSS: Final = "pod-security.kubernetes.io"
_LEVELS: Final = frozenset({"privileged", "baseline", "restricted"})
_VERSION: Final = re.compile(r"v1\.[0-9]{1,3}")
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
_SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
"""https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline"""


def _effective(container: Container, *keys: str) -> object:
    """A field of the container's security context, else of its pod's."""
    own = child(container.body, "securityContext", *keys)
    return child(container.pod.spec, "securityContext", *keys) if own is None else own


def _refused(value: object) -> bool:
    """Whether a field that must be absent or false is something else."""
    return value is not UNKNOWN and value is not None and value is not False


def _non_root(container: Container) -> list[str]:
    found: list[str] = []
    value = _effective(container, "runAsNonRoot")
    if value is not UNKNOWN and value is not True:
        found.append(f".securityContext.runAsNonRoot: {show(value)}")
    user = _effective(container, "runAsUser")
    if user is not UNKNOWN and user is not None and (integer(user) or 0) <= 0:
        found.append(f".securityContext.runAsUser: {show(user)}")
    return found


def _escalation(container: Container) -> list[str]:
    value = child(container.body, "securityContext", "allowPrivilegeEscalation")
    return (
        []
        if value is UNKNOWN or value is False
        else [f".securityContext.allowPrivilegeEscalation: {show(value)}"]
    )


def _privileged(container: Container) -> list[str]:
    value = child(container.body, "securityContext", "privileged")
    return [f".securityContext.privileged: {show(value)}"] if _refused(value) else []


def _capabilities(container: Container) -> list[str]:
    found: list[str] = []
    capabilities = child(container.body, "securityContext", "capabilities")
    dropped = child(capabilities, "drop")
    names = [item for _, item in elements(dropped)]
    if dropped is not UNKNOWN and UNKNOWN not in names and "ALL" not in names:
        found.append(".securityContext.capabilities.drop: ALL is missing")
    added = child(capabilities, "add")
    if added is not UNKNOWN and added:
        others = [item for _, item in elements(added) if item is not UNKNOWN and item != "NET_BIND_SERVICE"]
        if others or not isinstance(added, list | tuple):
            found.append(f".securityContext.capabilities.add: {show(others or added)}")
    return found


def _read_only_root(container: Container) -> list[str]:
    value = child(container.body, "securityContext", "readOnlyRootFilesystem")
    return (
        []
        if value is UNKNOWN or value is True
        else [f".securityContext.readOnlyRootFilesystem: {show(value)}"]
    )


def _seccomp(container: Container) -> list[str]:
    value = _effective(container, "seccompProfile", "type")
    if value is UNKNOWN or value in ("RuntimeDefault", "Localhost"):
        return []
    return [f".securityContext.seccompProfile.type: {known_text(value, frozenset({'Unconfined'}))}"]


def _host_namespaces(pod: Pod) -> list[str]:
    return [
        f".{key}: {show(pod.spec.get(key))}" for key in ("hostPID", "hostIPC") if _refused(pod.spec.get(key))
    ]


def _host_paths(token: str, properties: Properties) -> list[str]:
    found = each_pod(_host_path_volumes)(token, properties)
    for volume in of_kind(token, properties, "PersistentVolume"):
        value = child(volume.body, "spec", "hostPath")
        if value is not None and value is not UNKNOWN:
            found.append(f"{volume} {volume.at('spec', 'hostPath')}: {show(value)}")
    return found


def _host_path_volumes(pod: Pod) -> list[str]:
    return [
        f".volumes[{index}].hostPath: {show(value)}"
        for index, volume in elements(pod.spec.get("volumes"))
        for value in (child(volume, "hostPath"),)
        if value is not None and value is not UNKNOWN
    ]


def _volume_types(pod: Pod) -> list[str]:
    return [
        f".volumes[{index}].{safe_key(key)}: is a type of volume that is not allowed"
        for index, volume in elements(pod.spec.get("volumes"))
        for key, value in entries(volume)
        if key not in _VOLUME_TYPES and key not in ("name", "hostPath") and value is not None
    ]


def _kernel_options(pod: Pod) -> list[str]:
    found: list[str] = []
    for index, item in elements(child(pod.spec, "securityContext", "sysctls")):
        name = child(item, "name")
        if (
            name is not UNKNOWN
            and item is not UNKNOWN
            and not (isinstance(name, str) and name in _SAFE_SYSCTLS)
        ):
            found.append(f".securityContext.sysctls[{index}]: is not one of the safe sysctls")
    holders: list[tuple[str, object]] = [("", pod.spec)]
    holders += [(container.path.removeprefix(pod.path), container.body) for container in pod.containers()]
    for prefix, holder in holders:
        context = child(holder, "securityContext")
        path = f"{prefix}.securityContext"
        if child(context, "appArmorProfile", "type") == "Unconfined":
            found.append(f"{path}.appArmorProfile.type: is Unconfined")
        if child(context, "procMount") == "Unmasked":
            found.append(f"{path}.procMount: is Unmasked")
        if _refused(child(context, "windowsOptions", "hostProcess")):
            found.append(f"{path}.windowsOptions.hostProcess: is not false")
        options = [child(context, "seLinuxOptions", key) for key in ("user", "role")]
        if any(value and value is not UNKNOWN for value in options):
            found.append(f"{path}.seLinuxOptions: sets user or role")
    return found


def _service_account_token(token: str, properties: Properties) -> list[str]:
    found = each_pod(_mounts_token)(token, properties)
    for account in of_kind(token, properties, "ServiceAccount"):
        value = child(account.body, "automountServiceAccountToken")
        if value is not UNKNOWN and value is not False and not (account.partial and value is None):
            found.append(f"{account} {account.at('automountServiceAccountToken')}: {show(value)}")
    return found


def _mounts_token(pod: Pod) -> list[str]:
    value = pod.spec.get("automountServiceAccountToken")
    if value is UNKNOWN or value is False or (value is None and pod.owner.partial):
        return []
    return [f".automountServiceAccountToken: {show(value)}"]


def _namespace_labels(token: str, properties: Properties) -> list[str]:
    found: list[str] = []
    for namespace in of_kind(token, properties, "Namespace"):
        labels = child(namespace.body, "metadata", "labels")
        level, version = child(labels, f"{_PSS}/enforce"), child(labels, f"{_PSS}/enforce-version")
        path = f"{namespace} {namespace.at('metadata', 'labels')}"
        if level is not UNKNOWN and level != "restricted" and not (namespace.partial and level is None):
            found.append(f"{path}[{_PSS}/enforce]: {known_text(level, _LEVELS)}")
        pinned = isinstance(version, str) and _VERSION.fullmatch(version)
        if version is not UNKNOWN and not pinned and not (namespace.partial and version is None):
            found.append(f"{path}[{_PSS}/enforce-version]: {known_text(version, frozenset({'latest'}))}")
    return found


RULES: Final = (
    Rule(
        id="namespace-pod-security",
        severity="critical",
        title="Every namespace enforces the restricted Pod Security Standard, at a pinned version",
        rationale="It is the API server's own guard, also for pods that no Pulumi program has made.",
        fix=f"label it {_PSS}/enforce: restricted and {_PSS}/enforce-version: v1.<minor>",
        judge=_namespace_labels,
        same_as={"cis": "5.2.1", "kyverno": "add-psa-labels"},
    ),
    Rule(
        id="pod-shape",
        severity="high",
        title="A pod template has the structure that the rules read",
        rationale="A template that is not a list of containers cannot be judged, so it must not pass either.",
        fix="write containers and volumes as lists of objects",
        judge=malformed_pods,
    ),
    Rule(
        id="container-non-root",
        severity="high",
        title="No container runs as root",
        rationale="Root in a container is root on the node after any escape.",
        fix="set runAsNonRoot: true on the pod or the container, and no runAsUser: 0",
        judge=each_container(_non_root),
        same_as={
            "pss": "Restricted: Running as Non-root",
            "cis": "5.2.7",
            "gatekeeper": "K8sPSPAllowedUsers",
            "kyverno": "require-run-as-nonroot",
            "checkov": "CKV_K8S_23",
        },
    ),
    Rule(
        id="container-privilege-escalation",
        severity="high",
        title="No container can gain privileges",
        rationale="A set-uid binary in the image would make root out of a user.",
        fix="set allowPrivilegeEscalation: false",
        judge=each_container(_escalation),
        same_as={
            "pss": "Restricted: Privilege Escalation",
            "cis": "5.2.6",
            "gatekeeper": "K8sPSPAllowPrivilegeEscalationContainer",
            "kyverno": "disallow-privilege-escalation",
            "checkov": "CKV_K8S_20",
        },
    ),
    Rule(
        id="container-privileged",
        severity="critical",
        title="No container is privileged",
        rationale="It sees every device and every other container of the node.",
        fix="remove privileged",
        judge=each_container(_privileged),
        same_as={
            "pss": "Baseline: Privileged Containers",
            "cis": "5.2.2",
            "gatekeeper": "K8sPSPPrivilegedContainer",
            "kyverno": "disallow-privileged-containers",
            "checkov": "CKV_K8S_16",
        },
    ),
    Rule(
        id="container-capabilities",
        severity="high",
        title="Every container drops all capabilities",
        rationale="The default set allows raw sockets (spoofed traffic within the cluster) and more.",
        fix="set capabilities.drop: [ALL] and add at most NET_BIND_SERVICE",
        judge=each_container(_capabilities),
        same_as={
            "pss": "Restricted: Capabilities",
            "cis": "5.2.8, 5.2.9, 5.2.10",
            "gatekeeper": "K8sPSPCapabilities",
            "kyverno": "disallow-capabilities-strict",
            "checkov": "CKV_K8S_25, CKV_K8S_28, CKV_K8S_37",
        },
    ),
    Rule(
        id="container-read-only-root",
        severity="medium",
        title="Every container's root file system is read-only",
        rationale=(
            "What runs is what the image's digest says, also after a break-in; scratch space is accounted"
            " for."
        ),
        fix="set readOnlyRootFilesystem: true and mount emptyDirs where something is written",
        judge=each_container(_read_only_root),
        same_as={
            "gatekeeper": "K8sPSPReadOnlyRootFilesystem",
            "kyverno": "require-ro-rootfs",
            "checkov": "CKV_K8S_22",
        },
    ),
    Rule(
        id="container-seccomp",
        severity="high",
        title="Every container runs under a seccomp profile",
        rationale="Unconfined, a container reaches kernel calls that it never needs and exploits do.",
        fix="set seccompProfile.type: RuntimeDefault on the pod or the container",
        judge=each_container(_seccomp),
        same_as={
            "pss": "Restricted: Seccomp",
            "cis": "5.7.2",
            "gatekeeper": "K8sPSPSeccomp",
            "kyverno": "restrict-seccomp-strict",
            "checkov": "CKV_K8S_31",
        },
    ),
    Rule(
        id="pod-host-namespaces",
        severity="critical",
        title="No pod shares the node's processes or IPC",
        rationale="It could read other tenants' memory and signal the node's processes.",
        fix="remove hostPID and hostIPC",
        judge=each_pod(_host_namespaces),
        same_as={
            "pss": "Baseline: Host Namespaces",
            "cis": "5.2.3, 5.2.4",
            "gatekeeper": "K8sPSPHostNamespace",
            "kyverno": "disallow-host-namespaces",
            "checkov": "CKV_K8S_17, CKV_K8S_18",
        },
    ),
    Rule(
        id="pod-host-path",
        severity="critical",
        title="No pod mounts the node's file system",
        rationale="The kubelet's credentials and every other pod's volumes lie there.",
        fix="use a PersistentVolumeClaim or an emptyDir",
        judge=_host_paths,
        same_as={
            "pss": "Baseline: HostPath Volumes",
            "cis": "5.2.12",
            "gatekeeper": "K8sPSPHostFilesystem",
            "kyverno": "disallow-host-path",
            "checkov": "CKV_K8S_27",
        },
    ),
    Rule(
        id="pod-volume-types",
        severity="high",
        title="Pods use portable types of volumes only",
        rationale="Others mount network file systems and devices past the storage class and its limits.",
        fix=(
            "use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, "
            "projected or secret"
        ),
        judge=each_pod(_volume_types),
        same_as={
            "pss": "Restricted: Volume Types",
            "gatekeeper": "K8sPSPVolumeTypes",
            "kyverno": "restrict-volume-types",
        },
    ),
    Rule(
        id="pod-kernel-options",
        severity="high",
        title="No pod loosens the kernel's guards",
        rationale="Unsafe sysctls, an unmasked /proc and unconfined AppArmor reach beyond the pod.",
        fix="remove the option",
        judge=each_pod(_kernel_options),
        same_as={
            "pss": "Baseline: Sysctls, AppArmor, SELinux, /proc Mount Type, HostProcess",
            "cis": "5.2.11",
            "gatekeeper": "K8sPSPForbiddenSysctls, K8sPSPProcMount",
            "kyverno": "restrict-sysctls, disallow-proc-mount",
        },
    ),
    Rule(
        id="pod-service-account-token",
        severity="high",
        title="No pod is given an API token that it has not asked for",
        rationale="A break-in into the server would be one into the cluster's API.",
        fix="set automountServiceAccountToken: false; who needs a token projects one with an expiry",
        judge=_service_account_token,
        same_as={
            "cis": "5.1.6",
            "gatekeeper": "K8sPSPAutomountServiceAccountTokenPod",
            "kyverno": "restrict-automount-sa-token",
            "checkov": "CKV_K8S_38",
        },
    ),
)
"""Rules on pod security."""
