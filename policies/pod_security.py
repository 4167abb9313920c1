"""Rules on what a pod may do to its node: the Pod Security Standards, and a little more."""

from __future__ import annotations

import re
from typing import Final

from policies import pod_security_standards as pss
from policies.kubernetes import Container, Pod, malformed_pods
from policies.resource import Resource, each_container, each_pod
from policies.rule import Bound, Option, Rule
from policies.values import UNKNOWN, child, known_text, show

_PSS: Final = "pod-security.kubernetes.io"
_LEVELS: Final = ("privileged", "baseline", "restricted")
_VERSION: Final = re.compile(r"v1\.[0-9]{1,3}")


def _read_only_root(container: Container) -> list[str]:
    value = child(container.body, "securityContext", "readOnlyRootFilesystem")
    return (
        []
        if value is UNKNOWN or value is True
        else [f".securityContext.readOnlyRootFilesystem: {show(value)}"]
    )


def _capabilities_beyond(resource: Resource, allowed: frozenset[str]) -> list[str]:
    return pss.judged(lambda pod, by: pss.capabilities(pod, by, allowed))(resource)


def _host_paths(resource: Resource, allowed: frozenset[str] = frozenset()) -> list[str]:
    found = pss.judged(lambda pod, by: pss.host_paths(pod, by, allowed))(resource)
    for volume in resource.of_kind("PersistentVolume"):
        value = child(volume.body, "spec", "hostPath")
        path = child(value, "path")
        if value is not None and value is not UNKNOWN and not pss.is_one_of(path, allowed):
            found.append(f"{volume} {volume.at('spec', 'hostPath')}: {show(value)}")
    return found


def _shapes(resource: Resource) -> list[str]:
    return malformed_pods(resource.token, resource.properties, resource.objects)


def _service_account_token(resource: Resource) -> list[str]:
    found = each_pod(_mounts_token)(resource)
    for account in resource.of_kind("ServiceAccount"):
        value = child(account.body, "automountServiceAccountToken")
        if value is not UNKNOWN and value is not False and not (account.partial and value is None):
            found.append(f"{account} {account.at('automountServiceAccountToken')}: {show(value)}")
    return found


def _mounts_token(pod: Pod) -> list[str]:
    value = pod.spec.get("automountServiceAccountToken")
    if value is UNKNOWN or value is False or (value is None and pod.owner.partial):
        return []
    return [f".automountServiceAccountToken: {show(value)}"]


def _namespace_labels(resource: Resource) -> list[str]:
    found: list[str] = []
    wanted = pss.standard(resource).level
    for namespace in resource.of_kind("Namespace"):
        labels = child(namespace.body, "metadata", "labels")
        level, version = child(labels, f"{_PSS}/enforce"), child(labels, f"{_PSS}/enforce-version")
        path = f"{namespace} {namespace.at('metadata', 'labels')}"
        strict = isinstance(level, str) and level in _LEVELS and _LEVELS.index(level) >= _LEVELS.index(wanted)
        if level is not UNKNOWN and not strict and not (namespace.partial and level is None):
            found.append(f"{path}[{_PSS}/enforce]: {known_text(level, frozenset(_LEVELS))}")
        pinned = isinstance(version, str) and _VERSION.fullmatch(version)
        if version is not UNKNOWN and not pinned and not (namespace.partial and version is None):
            found.append(f"{path}[{_PSS}/enforce-version]: {known_text(version, frozenset({'latest'}))}")
    return found


RULES: Final = (
    Rule(
        id="namespace-pod-security",
        severity="critical",
        title="Every namespace enforces a Pod Security Standard, restricted by default, at a pinned version",
        rationale="It is the API server's own guard, also for pods that no Pulumi program has made.",
        fix=f"label it {_PSS}/enforce: restricted and {_PSS}/enforce-version: v1.<minor>",
        judge=_namespace_labels,
        options={
            "level": Option(
                {"type": "string", "enum": list(_LEVELS)}, "restricted", "Standard of this stack's pods."
            ),
            "version": Option(
                {"type": "string", "pattern": r"v1\.[0-9]{1,3}"},
                f"v1.{pss.NEWEST_MINOR}",
                "Version of the standard that pods are judged by.",
            ),
        },
    ),
    Rule(
        id="pod-shape",
        severity="high",
        title="A pod template has the structure that the rules read",
        rationale="A template that is not a list of containers cannot be judged, so it must not pass either.",
        fix="write containers and volumes as lists of objects",
        judge=_shapes,
    ),
    Rule(
        id="container-non-root",
        severity="high",
        title="No container runs as root",
        rationale="Root in a container is root on the node after any escape.",
        fix="set runAsNonRoot: true on the pod or the container, and no runAsUser: 0",
        judge=pss.judged(pss.run_as_non_root),
    ),
    Rule(
        id="container-privilege-escalation",
        severity="high",
        title="No container can gain privileges",
        rationale="A set-uid binary in the image would make root out of a user.",
        fix="set allowPrivilegeEscalation: false",
        judge=pss.judged(pss.privilege_escalation),
    ),
    Rule(
        id="container-privileged",
        severity="critical",
        title="No container is privileged",
        rationale="It sees every device and every other container of the node.",
        fix="remove privileged",
        judge=pss.judged(pss.privileged),
    ),
    Rule(
        id="container-capabilities",
        severity="high",
        title="Every container drops all capabilities",
        rationale="The default set allows raw sockets (spoofed traffic within the cluster) and more.",
        fix="set capabilities.drop: [ALL] and add at most NET_BIND_SERVICE",
        judge=pss.judged(pss.capabilities),
        bound=Bound("capabilities", "[A-Z][A-Z_]{1,40}", "such as [NET_ADMIN]", beyond=_capabilities_beyond),
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
    ),
    Rule(
        id="container-seccomp",
        severity="high",
        title="Every container runs under a seccomp profile",
        rationale="Unconfined, a container reaches kernel calls that it never needs and exploits do.",
        fix="set seccompProfile.type: RuntimeDefault on the pod or the container",
        judge=pss.judged(pss.seccomp),
    ),
    Rule(
        id="pod-host-namespaces",
        severity="critical",
        title="No pod shares the node's processes or IPC",
        rationale="It could read other tenants' memory and signal the node's processes.",
        fix="remove hostPID and hostIPC",
        judge=pss.judged(pss.host_namespaces),
    ),
    Rule(
        id="pod-host-path",
        severity="critical",
        title="No pod mounts the node's file system",
        rationale="The kubelet's credentials and every other pod's volumes lie there.",
        fix="use a PersistentVolumeClaim or an emptyDir",
        judge=_host_paths,
        bound=Bound("paths", "/[^*]{0,254}", "such as [/var/log/pods]", beyond=_host_paths),
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
        judge=pss.judged(pss.volume_types),
    ),
    Rule(
        id="pod-sysctls",
        severity="high",
        title="No pod sets a sysctl that reaches beyond it",
        rationale="The kernel is every tenant's.",
        fix="use the safe sysctls of the Pod Security Standards only",
        judge=pss.judged(pss.sysctls),
    ),
    Rule(
        id="pod-app-armor",
        severity="high",
        title="No pod takes its AppArmor profile off",
        rationale="Unconfined, a broken container can mount and trace what it likes.",
        fix="remove the profile, or use RuntimeDefault",
        judge=pss.judged(pss.app_armor),
    ),
    Rule(
        id="pod-selinux",
        severity="high",
        title="No pod chooses an SELinux label of the node",
        rationale="A label for daemons undoes the separation of containers.",
        fix="remove user, role and type, or use container_t",
        judge=pss.judged(pss.selinux),
    ),
    Rule(
        id="container-proc-mount",
        severity="high",
        title="No container sees an unmasked /proc",
        rationale="It shows and changes what belongs to the node.",
        fix="remove procMount",
        judge=pss.judged(pss.proc_mount),
    ),
    Rule(
        id="pod-host-process",
        severity="critical",
        title="No pod is a process of a Windows node",
        rationale="It is an administrator there.",
        fix="remove windowsOptions.hostProcess",
        judge=pss.judged(pss.host_process),
    ),
    Rule(
        id="container-probe-host",
        severity="medium",
        title="Probes and hooks address the pod itself",
        rationale="The kubelet would send requests from the node to wherever a tenant says.",
        fix="remove host",
        judge=pss.judged(pss.probe_hosts),
    ),
    Rule(
        id="pod-service-account-token",
        severity="high",
        title="No pod is given an API token that it has not asked for",
        rationale="A break-in into the server would be one into the cluster's API.",
        fix="set automountServiceAccountToken: false; who needs a token projects one with an expiry",
        judge=_service_account_token,
    ),
)
"""Rules on pod security."""
