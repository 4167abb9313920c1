"""Rules on what a cluster records, where images lie, and how far pools grow."""

from __future__ import annotations

import re
from typing import Final

from policies import credentials
from policies.resource import Resource, by_type
from policies.rule import Option, Rule
from policies.supply_chain import DIGEST, image
from policies.values import UNKNOWN, child, elements, entries, integer, known_text, safe_key, show

_EKS: Final = "aws:eks/cluster:Cluster"
_GKE: Final = "gcp:container/cluster:Cluster"
_POOL: Final = "gcp:container/nodePool:NodePool"
_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
_EKS_LOGS: Final = ("api", "audit", "authenticator")
_GKE_LOGS: Final = ("SYSTEM_COMPONENTS", "APISERVER")
_MIN_LOG_DAYS: Final = 200
_MAX_NODES: Final = 50
"""A pool that grows further without anybody having said so is a mistake, or somebody else's mine."""


def _eks_logs(resource: Resource) -> list[str]:
    value = resource.value("enabledClusterLogTypes")
    stated = [item for _, item in elements(value)]
    if value is UNKNOWN or UNKNOWN in stated:
        return []
    return [f"enabledClusterLogTypes: {name} is missing" for name in _EKS_LOGS if name not in stated]


def _gke_logs(resource: Resource) -> list[str]:
    service = resource.value("loggingService")
    if service not in (None, UNKNOWN, "logging.googleapis.com/kubernetes"):
        return [f"loggingService: {known_text(service, frozenset({'none', 'logging.googleapis.com'}))}"]
    value = resource.value("loggingConfig", "enableComponents")
    stated = [item for _, item in elements(value)]
    if value is UNKNOWN or UNKNOWN in stated:
        return []
    return [f"loggingConfig.enableComponents: {name} is missing" for name in _GKE_LOGS if name not in stated]


def _log_group(resource: Resource) -> list[str]:
    found: list[str] = []
    if not resource.value("kmsKeyId"):
        found.append("kmsKeyId: is missing")
    days, name = resource.value("retentionInDays"), resource.value("name")
    audit = isinstance(name, str) and name.startswith("/aws/eks/")
    # 0 keeps everything for ever.
    if audit and days is not UNKNOWN and days is not None and 0 < (integer(days) or 0) < _MIN_LOG_DAYS:
        found.append(f"retentionInDays: {show(days)}, less than {_MIN_LOG_DAYS}")
    return found


def _node_integrity(resource: Resource) -> list[str]:
    found: list[str] = []
    if resource.token == _GKE:
        value = resource.value("enableShieldedNodes")
        found += [] if value in (None, True, UNKNOWN) else [f"enableShieldedNodes: {show(value)}"]
        if resource.value("nodeConfig") is None or resource.value("removeDefaultNodePool") is True:
            return found
    config = ("nodeConfig", "shieldedInstanceConfig")
    monitoring, boot = (
        resource.value(*config, name) for name in ("enableIntegrityMonitoring", "enableSecureBoot")
    )
    if monitoring not in (None, True, UNKNOWN):
        found.append(f"nodeConfig.shieldedInstanceConfig.enableIntegrityMonitoring: {show(monitoring)}")
    # Drivers of accelerators are modules that are not all signed.
    accelerated = resource.value("nodeConfig", "guestAccelerators") or resource.value(
        "placementPolicy", "tpuTopology"
    )
    machine = resource.value("nodeConfig", "machineType")
    tpu = isinstance(machine, str) and machine.startswith("ct")
    if boot not in (True, UNKNOWN) and not accelerated and not tpu and machine is not UNKNOWN:
        found.append(f"nodeConfig.shieldedInstanceConfig.enableSecureBoot: {show(boot)}")
    return found


def _pool_repair(resource: Resource) -> list[str]:
    # Google repairs and upgrades unless it is told not to.
    return [
        f"management.{name}: is false"
        for name in ("autoRepair", "autoUpgrade")
        if resource.value("management", name) is False
    ]


def _default_pool(resource: Resource) -> list[str]:
    if resource.value("enableAutopilot") is True or resource.value("nodeConfig") is not None:
        return []
    value = resource.value("removeDefaultNodePool")
    return [] if value in (True, UNKNOWN) else [f"removeDefaultNodePool: {show(value)}"]


def _most_nodes(resource: Resource) -> int:
    stated = integer(resource.option("node-pool-bounds", "maxNodes"))
    return stated if stated is not None else _MAX_NODES


def _bounds(path: str, least: object, most: object, ceiling: int) -> list[str]:
    if UNKNOWN in (least, most):
        return []
    low, high = integer(least) if least is not None else 0, integer(most)
    if high is None or high < 1:
        return [f"{path}: {show(most)}"]
    if low is None or low < 0 or low > high:
        return [f"{path}: {show(most)}, below the minimum"]
    return [f"{path}: {show(most)}, more than {ceiling}"] if high > ceiling else []


def _eks_bounds(resource: Resource) -> list[str]:
    scaling = resource.value("scalingConfig")
    if scaling is UNKNOWN:
        return []
    least, most = resource.value("scalingConfig", "minSize"), resource.value("scalingConfig", "maxSize")
    return _bounds("scalingConfig.maxSize", least, most, _most_nodes(resource))


def _gke_bounds(resource: Resource) -> list[str]:
    ceiling = _most_nodes(resource)
    scaling = resource.value("autoscaling")
    if scaling is UNKNOWN:
        return []
    if scaling is None:
        count = resource.value("nodeCount")
        count = resource.value("initialNodeCount") if count is None else count
        return [] if count is UNKNOWN else _bounds("nodeCount", 0, count, ceiling)
    total = resource.value("autoscaling", "totalMaxNodeCount")
    prefix = "total" if total is not None else ""
    names = [
        f"{prefix}{'Max' if prefix else 'max'}NodeCount",
        f"{prefix}{'Min' if prefix else 'min'}NodeCount",
    ]
    most, least = (resource.value("autoscaling", name) for name in names)
    return _bounds(f"autoscaling.{names[0]}", least, most, ceiling)


def _ecr(resource: Resource) -> list[str]:
    found: list[str] = []
    mutability = resource.value("imageTagMutability")
    if mutability not in ("IMMUTABLE", UNKNOWN):
        shown = known_text(
            mutability, frozenset({"MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"})
        )
        found.append(f"imageTagMutability: {shown}")
    scan = resource.value("imageScanningConfiguration", "scanOnPush")
    if scan not in (True, UNKNOWN):
        found.append(f"imageScanningConfiguration.scanOnPush: {show(scan)}")
    return found


def _artifact_registry(resource: Resource) -> list[str]:
    if resource.value("format") != "DOCKER" or resource.value("mode") not in (None, "STANDARD_REPOSITORY"):
        return []
    value = resource.value("dockerConfig", "immutableTags")
    return [] if value in (True, UNKNOWN) else [f"dockerConfig.immutableTags: {show(value)}"]


def _tagged(name: str) -> bool:
    parts = image(name)
    return bool(parts.digest) or (bool(parts.tag) and parts.tag != "latest")


def _built_image(resource: Resource) -> list[str]:
    found = [
        f"{path}: has no tag, or latest"
        for path, value in (("imageName", resource.value("imageName")), *resource.items("tags"))
        if isinstance(value, str) and not _tagged(value)
    ]
    for name in ("args", "buildArgs"):
        for holder in (("build", name), (name,)):
            found += [
                f"{'.'.join(holder)}.{safe_key(key)}: stays in the image's history"
                for key, value in entries(resource.value(*holder))
                if credentials.is_named(key) and value not in (None, "")
            ]
    return found


def _pulled_image(resource: Resource) -> list[str]:
    key = "image" if resource.token == "docker:index/container:Container" else "name"
    value = resource.value(key)
    if not isinstance(value, str) or resource.value("build") is not None:
        return []
    # A container may name an image by the id that a RemoteImage gives out.
    if DIGEST.fullmatch(image(value).digest) or re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        return []
    return [f"{key}: has no digest"]


def _local_container(resource: Resource) -> list[str]:
    found = [f"{name}: is true" for name in ("privileged",) if resource.value(name) is True]
    found += [
        f"{name}: is host" for name in ("networkMode", "pidMode", "ipcMode") if resource.value(name) == "host"
    ]
    for path, volume in (*resource.items("volumes"), *resource.items("mounts")):
        source = child(volume, "hostPath") or child(volume, "source")
        if isinstance(source, str) and source.endswith("docker.sock"):
            found.append(f"{path}: is the engine's own socket")
    return found


_LOG_TYPES: Final = {_EKS: _eks_logs, _GKE: _gke_logs}
_BOUND_TYPES: Final = {_GROUP: _eks_bounds, _POOL: _gke_bounds}
_REGISTRY_TYPES: Final = {
    "aws:ecr/repository:Repository": _ecr,
    "gcp:artifactregistry/repository:Repository": _artifact_registry,
}
_PULLED_TYPES: Final = frozenset({"docker:index/remoteImage:RemoteImage", "docker:index/container:Container"})

RULES: Final = (
    Rule(
        id="cluster-audit-logs",
        severity="critical",
        title="A cluster records who did what",
        rationale="Without the API server's audit log nobody can tell what an intruder has seen or changed.",
        fix="enable api, audit and authenticator logs; on GKE SYSTEM_COMPONENTS and APISERVER",
        judge=by_type(_LOG_TYPES),
        types=frozenset(_LOG_TYPES),
    ),
    Rule(
        id="log-group",
        severity="high",
        title="Logs are encrypted with a key of the platform's own, and a cluster's are kept",
        rationale="Prompts and user names lie in them, and an intruder is often noticed after months.",
        fix=f"set kmsKeyId, and retentionInDays to {_MIN_LOG_DAYS} or more for /aws/eks/ (365 is accepted)",
        judge=_log_group,
        types=frozenset({_LOG_GROUP}),
    ),
    Rule(
        id="node-integrity",
        severity="high",
        title="Nodes boot what Google has signed",
        rationale="A changed kernel survives every check that runs on top of it.",
        fix="set enableIntegrityMonitoring, and enableSecureBoot on pools without accelerators",
        judge=_node_integrity,
        types=frozenset({_GKE, _POOL}),
    ),
    Rule(
        id="node-maintenance",
        severity="medium",
        title="Nodes are repaired and kept up to date",
        rationale="A node with a known flaw stays until somebody remembers it.",
        fix="leave management.autoRepair and autoUpgrade on",
        judge=_pool_repair,
        types=frozenset({_POOL}),
    ),
    Rule(
        id="node-default-pool",
        severity="medium",
        title="A cluster has planned node pools only",
        rationale="The default pool has the project's default account and settings that no rule has seen.",
        fix="set removeDefaultNodePool: true",
        judge=_default_pool,
        types=frozenset({_GKE}),
    ),
    Rule(
        id="node-pool-bounds",
        severity="high",
        title="A node pool has bounds that somebody has agreed to",
        rationale="An autoscaler without a ceiling turns a mistake, or an attack, into a bill.",
        fix="state minimum and maximum, the latter at most `maxNodes` of the levels file",
        judge=by_type(_BOUND_TYPES),
        types=frozenset(_BOUND_TYPES),
        options={
            "maxNodes": Option(
                {"type": "integer", "minimum": 1}, _MAX_NODES, "Most nodes that a pool may have."
            ),
        },
    ),
    Rule(
        id="registry-immutable",
        severity="high",
        title="A registry's tags cannot be moved, and what is pushed is scanned",
        rationale="Whoever may push could replace what has been tested.",
        fix="set imageTagMutability IMMUTABLE and scanOnPush; dockerConfig.immutableTags",
        judge=by_type(_REGISTRY_TYPES),
        types=frozenset(_REGISTRY_TYPES),
    ),
    Rule(
        id="image-build",
        severity="high",
        title="A built image has a version, and no credentials in it",
        rationale="Build arguments stay readable in the image's history, for everybody who may pull it.",
        fix="tag it with a version, and pass credentials as build secrets",
        judge=_built_image,
        types=frozenset({"docker:index/image:Image", "docker-build:index:Image"}),
    ),
    Rule(
        id="image-pull-digest",
        severity="high",
        title="Docker pulls images by digest",
        rationale="A tag can be moved: what was tested is not what runs.",
        fix="name it <registry>/<name>@sha256:<64 hexadecimal digits>",
        judge=_pulled_image,
        types=_PULLED_TYPES,
    ),
    Rule(
        id="docker-container",
        severity="critical",
        title="A container of Docker leaves its host alone",
        rationale="With the host's network, processes or Docker's socket it owns the machine.",
        fix="remove privileged, host modes and the socket",
        judge=_local_container,
        types=frozenset({"docker:index/container:Container"}),
    ),
)
"""Rules on operation in the cloud."""
