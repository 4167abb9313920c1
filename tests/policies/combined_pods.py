"""Pods that combine what the Pod Security test data varies one at a time, such as the API server accepts."""

from __future__ import annotations

import copy
import random
from typing import Any, Final

from tests.policies.test_pod_security_standards import MINIMAL

_CONTEXT_CHANGES: Final[tuple[tuple[str, tuple[object, ...]], ...]] = (
    ("allowPrivilegeEscalation", (True, False, None)),
    ("privileged", (False, None)),
    ("runAsNonRoot", (True, False, None)),
    ("runAsUser", (0, 1000, None)),
    (
        "seccompProfile",
        (
            {"type": "RuntimeDefault"},
            {"type": "Unconfined"},
            {"type": "Localhost", "localhostProfile": "x"},
            None,
        ),
    ),
    ("appArmorProfile", ({"type": "RuntimeDefault"}, {"type": "Unconfined"}, None)),
    (
        "seLinuxOptions",
        ({"type": "container_t"}, {"type": "spc_t"}, {"user": "x"}, {"level": "s0"}, {}, None),
    ),
    ("windowsOptions", ({"hostProcess": False}, {"gmsaCredentialSpec": "x"}, None)),
    ("procMount", ("Default", None)),
    (
        "capabilities",
        (
            {"drop": ["ALL"]},
            {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            {"drop": ["all"]},
            {"drop": ["NET_RAW"], "add": ["CHOWN"]},
            {"add": ["SYS_ADMIN"]},
            {"add": []},
            {},
            None,
        ),
    ),
)
"""Fields of security contexts with values to try; None: the field is left out."""
_POD_CHANGES: Final[tuple[tuple[str, tuple[object, ...]], ...]] = (
    ("hostNetwork", (True, False)),
    ("hostPID", (True, False)),
    ("hostIPC", (True, False)),
    ("hostUsers", (True, False)),
)
_SYSCTLS: Final = (
    "kernel.shm_rmid_forced",
    "net.ipv4.tcp_rmem",
    "net.ipv4.ip_local_reserved_ports",
    "kernel.msgmax",
    "net.core.somaxconn",
)
_CLAIM: Final = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_VOLUMES: Final[tuple[dict[str, object], ...]] = (
    {"emptyDir": {}},
    {},
    {"hostPath": {"path": "/x"}},
    {"nfs": {"server": "x", "path": "/x"}},
    {"image": {"reference": "x"}},
    {"csi": {"driver": "x"}},
    {"projected": {"sources": []}},
    {"ephemeral": {"volumeClaimTemplate": {"spec": _CLAIM}}},
    {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:x", "lun": 0}},
)
_ANNOTATIONS: Final[tuple[dict[str, str], ...]] = (
    {"container.apparmor.security.beta.kubernetes.io/c0": "unconfined"},
    {"container.apparmor.security.beta.kubernetes.io/c0": "localhost/x"},
    {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"},
    {},
)
_OF_PODS_TOO: Final = frozenset(
    {
        "runAsNonRoot",
        "runAsUser",
        "seccompProfile",
        "appArmorProfile",
        "seLinuxOptions",
        "windowsOptions",
    }
)


def _context(source: random.Random, holder: dict[str, Any], names: frozenset[str] | None = None) -> None:
    context = holder.setdefault("securityContext", {})
    changes = [one for one in _CONTEXT_CHANGES if names is None or one[0] in names]
    for name, values in source.sample(changes, source.randint(0, 2)):
        context[name] = copy.deepcopy(source.choice(values))
        if context[name] is None:
            del context[name]


def combined(source: random.Random) -> dict[str, Any]:
    """A pod that the server's validation accepts, with several things that the standards look at."""
    pod: dict[str, Any] = copy.deepcopy({**MINIMAL, "apiVersion": "v1", "kind": "Pod"})
    pod["metadata"] = {"name": "combined", "annotations": source.choice(_ANNOTATIONS)}
    spec = pod["spec"]
    template = {**spec["containers"][0], "image": "x"}
    spec["containers"] = [{**copy.deepcopy(template), "name": f"c{n}"} for n in range(source.randint(1, 2))]
    spec["initContainers"] = [
        {**copy.deepcopy(template), "name": f"i{n}"} for n in range(source.randint(0, 1))
    ]
    windows = source.random() < 0.15
    if source.random() < 0.5:
        _context(source, spec, _OF_PODS_TOO)
    for container in [*spec["containers"], *spec["initContainers"]]:
        if source.random() < 0.6:
            _context(source, container)
        if source.random() < 0.15:
            container["ports"] = [{"containerPort": 80, "hostPort": source.choice((0, 8080))}]
        if source.random() < 0.15 and container["name"].startswith("c"):
            host = source.choice(({}, {"host": ""}, {"host": "127.0.0.1"}))
            container["livenessProbe"] = {"httpGet": {"port": 80, "path": "/", **host}}
        if source.random() < 0.1:
            container["securityContext"]["privileged"] = True
            container["securityContext"]["allowPrivilegeEscalation"] = True
    for name, values in source.sample(_POD_CHANGES, source.randint(0, 2)):
        spec[name] = source.choice(values)
    if source.random() < 0.3:
        spec["volumes"] = [
            {"name": f"v{n}", **copy.deepcopy(one)}
            for n, one in enumerate(source.sample(_VOLUMES, source.randint(1, 3)))
        ]
    if source.random() < 0.2:
        names = source.sample(_SYSCTLS, source.randint(1, 2))
        spec["securityContext"]["sysctls"] = [{"name": name, "value": "1"} for name in names]
    return _for_windows(pod) if windows else _for_linux(pod)


_OF_LINUX: Final = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
    "sysctls",
)


def _holders(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [pod["spec"], *pod["spec"]["containers"], *pod["spec"]["initContainers"]]


def _for_windows(pod: dict[str, Any]) -> dict[str, Any]:
    """Fields of Linux are refused by validation in a pod that says it is for Windows."""
    pod["spec"]["os"] = {"name": "windows"}
    for holder in _holders(pod):
        for name in _OF_LINUX:
            holder["securityContext"].pop(name, None)
    for name in ("hostPID", "hostIPC", "hostUsers", "hostNetwork"):
        pod["spec"].pop(name, None)
    pod["metadata"]["annotations"] = {}
    return pod


def _for_linux(pod: dict[str, Any]) -> dict[str, Any]:
    spec = pod["spec"]
    if spec.get("hostUsers") is False:
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            spec.pop(name, None)
    if spec.get("hostNetwork"):
        for container in [*spec["containers"], *spec["initContainers"]]:
            for port in container.get("ports", []):
                port["containerPort"] = port["hostPort"] = 8080
    if spec.get("hostNetwork") or spec.get("hostIPC"):
        spec["securityContext"].pop("sysctls", None)
    # A field and its annotation of old have to say the same.
    contexts = [holder.get("securityContext", {}) for holder in _holders(pod)]
    if any("appArmorProfile" in one for one in contexts):
        pod["metadata"]["annotations"] = {}
    if any(key.startswith("seccomp") for key in pod["metadata"]["annotations"]):
        for one in contexts:
            one.pop("seccompProfile", None)
    return pod
