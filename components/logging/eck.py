"""Specifications of the Elastic operator's objects: Elasticsearch, Kibana, Logstash, Beat.

Facts are ECK 3.5's reference and its custom resource definitions, against which a test checks every object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from components.common.quantities import MIB, Resources, format_bytes, format_millicores
from components.logging import security, sizing
from components.logging.pipelines import logstash as pipelines
from components.logging.plan import (
    DATA_STREAM_NAMESPACE,
    FILEBEAT_CPU_LIMIT,
    NAME,
    POD_EPHEMERAL,
    LoggingPlan,
    logstash_files_volume,
)
from components.logging.settings import HotTier, Volume, WarmTier
from components.logging.shipper.configuration import DATA, LOGSTASH_PORT, POD_LOGS, TLS, configuration

ELASTICSEARCH_API: Final = "elasticsearch.k8s.elastic.co/v1"
KIBANA_API: Final = "kibana.k8s.elastic.co/v1"
LOGSTASH_API: Final = "logstash.k8s.elastic.co/v1alpha1"
BEAT_API: Final = "beat.k8s.elastic.co/v1beta1"
TYPE_LABEL: Final = "common.k8s.elastic.co/type"
FILES_NAME: Final = "log-files"
"""Of the Logstash that reads files: one pod, or every line would be read twice."""
SERVER_SECRET: Final = "logstash-beats-tls"
CLIENT_SECRET: Final = "filebeat-client-tls"
TRAIL_SECRET: Final = "logstash-trail-tls"
"""What Logstash shows to the audit trail's receiver."""
CHOWN: Final = Resources(cpu=50, memory=64 * MIB, ephemeral_storage=16 * MIB)
_HOST_DATA: Final = "/var/lib/autoglm-platform/filebeat"


def selector(kind: str, name: str = NAME) -> dict[str, str]:
    """Labels that ECK puts on the pods of an object."""
    key = {
        "elasticsearch": "elasticsearch.k8s.elastic.co/cluster-name",
        "kibana": "kibana.k8s.elastic.co/name",
        "logstash": "logstash.k8s.elastic.co/name",
        "beat": "beat.k8s.elastic.co/name",
    }[kind]
    return {TYPE_LABEL: kind, key: name}


def elasticsearch(plan: LoggingPlan) -> dict[str, Any]:
    """The cluster that keeps the logs. ECK makes its certificates, users and disruption budget."""
    settings = plan.settings
    tiers: list[tuple[str, list[str], HotTier | WarmTier]] = [
        ("hot", ["master", "data_hot", "data_content", "ingest"], settings.elasticsearch.hot)
    ]
    if settings.elasticsearch.warm is not None:
        tiers.append(("warm", ["data_warm"], settings.elasticsearch.warm))
    return {
        "version": settings.version,
        "image": plan.images["elasticsearch"],
        # Nothing is written here about TLS: ECK then makes certificates, for clients and between nodes.
        "auth": {"fileRealm": [{"secretName": secret} for secret in settings.readers]},
        "updateStrategy": {"changeBudget": {"maxSurge": 0, "maxUnavailable": 1}},
        "volumeClaimDeletePolicy": (
            "DeleteOnScaledownOnly" if plan.protect else "DeleteOnScaledownAndClusterDeletion"
        ),
        "nodeSets": [_node_set(name, roles, tier) for name, roles, tier in tiers],
    }


def _node_set(name: str, roles: list[str], tier: HotTier | WarmTier) -> dict[str, Any]:
    heap = sizing.heap(tier.memory) // MIB
    return {
        "name": name,
        "count": tier.nodes,
        "config": {
            "node.roles": roles,
            # Memory-mapped files need a kernel setting of the node that only root may change.
            "node.store.allow_mmap": False,
            "action.destructive_requires_name": True,
        },
        "podTemplate": {
            "metadata": _labels(selector("elasticsearch")),
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": security.pod(),
                "affinity": _apart(selector("elasticsearch")),
                "topologySpreadConstraints": [_over_zones(selector("elasticsearch"))],
                "containers": [
                    {
                        "name": "elasticsearch",
                        "env": [{"name": "ES_JAVA_OPTS", "value": f"-Xms{heap}m -Xmx{heap}m"}],
                        "resources": security.resources(Resources(tier.cpu, tier.memory, POD_EPHEMERAL)),
                        # ECK mounts volumes where it writes, and sets this itself where its data has a claim.
                        "securityContext": security.container(read_only=True),
                    }
                ],
            },
        },
        "volumeClaimTemplates": [_claim("elasticsearch-data", tier.volume)],
    }


def kibana(plan: LoggingPlan) -> dict[str, Any]:
    """What people read the logs with."""
    wanted = plan.settings.kibana
    return {
        "version": plan.settings.version,
        "image": plan.images["kibana"],
        "count": wanted.replicas,
        "elasticsearchRef": {"name": NAME},
        "config": {
            # Nothing leaves the cluster unless it is meant to.
            "telemetry.optIn": False,
            "telemetry.allowChangingOptInStatus": False,
            "newsfeed.enabled": False,
            "map.includeElasticMapsService": False,
            "server.publicBaseUrl": plan.kibana_url,
        },
        "podTemplate": {
            "metadata": _labels(selector("kibana")),
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": security.pod(),
                "topologySpreadConstraints": _spread(selector("kibana")),
                "containers": [
                    {
                        "name": "kibana",
                        "resources": security.resources(Resources(wanted.cpu, wanted.memory, POD_EPHEMERAL)),
                        "securityContext": security.container(read_only=True),
                    }
                ],
            },
        },
    }


def logstash(plan: LoggingPlan) -> dict[str, Any]:
    """What takes lines from Filebeat, takes them apart and hands them to Elasticsearch."""
    wanted = plan.settings.logstash
    audit = plan.shipper.unmasked[0] if plan.shipper.unmasked else None
    return {
        **_logstash_base(plan, wanted.replicas, plan.logstash_volume),
        "pipelines": [
            {
                "pipeline.id": "pods",
                "config.string": pipelines.pods(
                    DATA_STREAM_NAMESPACE, audit, plan.access, trail=plan.trail is not None
                ),
            },
            {
                "pipeline.id": "dead-letters",
                "config.string": pipelines.dead_letters(DATA_STREAM_NAMESPACE),
                "pipeline.workers": 1,
                # It reads from disk and may begin again; and what it cannot deliver must not come back to it.
                "queue.type": "memory",
                "dead_letter_queue.enable": False,
            },
            *_trail_pipeline(plan),
        ],
        "services": [
            {
                "name": "beats",
                "service": {
                    "spec": {
                        "type": "ClusterIP",
                        "ports": [
                            {
                                "name": "beats",
                                "port": LOGSTASH_PORT,
                                "targetPort": LOGSTASH_PORT,
                                "protocol": "TCP",
                            }
                        ],
                    }
                },
            }
        ],
        "podTemplate": _logstash_pod(
            plan,
            NAME,
            {"tls": (pipelines.TLS, SERVER_SECRET)}
            | ({"trail-tls": (pipelines.TRAIL_TLS, TRAIL_SECRET)} if plan.trail else {}),
        ),
    }


def _trail_pipeline(plan: LoggingPlan) -> list[dict[str, Any]]:
    if plan.trail is None:
        return []
    return [
        {
            "pipeline.id": "trail",
            "config.string": pipelines.trail(plan.trail.url),
            "pipeline.batch.size": pipelines.TRAIL_BATCH,
            "queue.max_bytes": plan.settings.logstash.trail_queue,
            # The output hands nothing to it.
            "dead_letter_queue.enable": False,
        }
    ]


def log_files(plan: LoggingPlan, claim: str, pattern: str) -> dict[str, Any]:
    """What reads files itself."""
    return {
        **_logstash_base(plan, 1, logstash_files_volume(plan.settings)),
        "pipelines": [{"pipeline.id": "files", "config.string": pipelines.files(pattern)}],
        "podTemplate": _logstash_pod(
            plan,
            FILES_NAME,
            {},
            [{"name": "files", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}],
            [{"name": "files", "mountPath": pipelines.FILES, "readOnly": True}],
        ),
    }


def _logstash_base(plan: LoggingPlan, replicas: int, size: int) -> dict[str, Any]:
    wanted = plan.settings.logstash
    volume = Volume.model_construct(size=size, storage_class=wanted.storage_class)
    return {
        "version": plan.settings.version,
        "image": plan.images["logstash"],
        "count": replicas,
        "elasticsearchRefs": [{"name": NAME, "clusterName": pipelines.CLUSTER}],
        "config": pipelines.settings(wanted.queue, wanted.dead_letters),
        "updateStrategy": {"type": "RollingUpdate"},
        # ECK mounts a claim of this name as Logstash's data.
        "volumeClaimTemplates": [_claim("logstash-data", volume)],
    }


def _logstash_pod(
    plan: LoggingPlan,
    name: str,
    secrets: Mapping[str, tuple[str, str]],
    volumes: Sequence[Mapping[str, Any]] = (),
    mounts: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """:param secrets: directory and Secret by the volume's name."""
    wanted = plan.settings.logstash
    heap = sizing.heap(wanted.memory) // MIB
    return {
        "metadata": _labels(selector("logstash", name)),
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": security.pod(),
            "terminationGracePeriodSeconds": 120,
            "topologySpreadConstraints": _spread(selector("logstash", name)),
            "volumes": [
                *(
                    {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
                    for volume, (_, secret) in secrets.items()
                ),
                *map(dict, volumes),
            ],
            "containers": [
                {
                    "name": "logstash",
                    "env": [{"name": "LS_JAVA_OPTS", "value": f"-Xms{heap}m -Xmx{heap}m"}],
                    "resources": security.resources(Resources(wanted.cpu, wanted.memory, POD_EPHEMERAL)),
                    # Its start script writes beside the program.
                    "securityContext": security.container(read_only=False),
                    "volumeMounts": [
                        *(
                            {"name": volume, "mountPath": directory, "readOnly": True}
                            for volume, (directory, _) in secrets.items()
                        ),
                        *map(dict, mounts),
                    ],
                }
            ],
        },
    }


def filebeat(plan: LoggingPlan, service_account: Any) -> dict[str, Any]:
    """What reads and masks the logs of every node.

    It is no root: kubelet's log files belong to the group root and let the group read. Only the folder for
    its queue has to be given to it first, by a container that may change owners and nothing else.
    """
    wanted = plan.settings.shipper
    host_folders = sorted({str(PurePosixPath(log.path).parent) for log in wanted.host_logs})
    data = {"name": "beat-data", "mountPath": DATA}
    return {
        "type": "filebeat",
        "version": plan.settings.version,
        "image": plan.images["filebeat"],
        "config": configuration(plan.shipper),
        "daemonSet": {
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "20%"}},
            "podTemplate": {
                "metadata": _labels(selector("beat")),
                "spec": {
                    "serviceAccountName": service_account,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    # Every node has logs.
                    "tolerations": [{"operator": "Exists"}],
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": security.ELASTIC_ID,
                        "runAsGroup": security.ROOT_GROUP,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "initContainers": [
                        {
                            "name": "own-data",
                            "command": ["chown", f"{security.ELASTIC_ID}:{security.ROOT_GROUP}", DATA],
                            "resources": security.resources(CHOWN),
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "runAsNonRoot": False,
                                "runAsUser": 0,
                                "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
                            },
                            "volumeMounts": [data],
                        }
                    ],
                    "containers": [
                        {
                            "name": "filebeat",
                            "env": [
                                {
                                    "name": "NODE_NAME",
                                    "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                                },
                                # The garbage collector works harder before the kernel ends the process.
                                {"name": "GOMEMLIMIT", "value": str(wanted.memory * 4 // 5)},
                            ],
                            "resources": security.resources(
                                Resources(wanted.cpu, wanted.memory, POD_EPHEMERAL),
                                cpu_limit=format_millicores(max(wanted.cpu, FILEBEAT_CPU_LIMIT)),
                            ),
                            "securityContext": security.container(read_only=True),
                            "volumeMounts": [
                                data,
                                {"name": "pod-logs", "mountPath": POD_LOGS, "readOnly": True},
                                {"name": "tls", "mountPath": TLS, "readOnly": True},
                                *(
                                    {"name": f"host-{index}", "mountPath": folder, "readOnly": True}
                                    for index, folder in enumerate(host_folders)
                                ),
                            ],
                        }
                    ],
                    "volumes": [
                        # On the node, so that a new pod finds the queue and the positions of the old one.
                        {
                            "name": "beat-data",
                            "hostPath": {"path": _HOST_DATA, "type": "DirectoryOrCreate"},
                        },
                        {"name": "pod-logs", "hostPath": {"path": POD_LOGS, "type": "Directory"}},
                        {"name": "tls", "secret": {"secretName": CLIENT_SECRET, "defaultMode": 0o440}},
                        *(
                            {"name": f"host-{index}", "hostPath": {"path": folder, "type": "Directory"}}
                            for index, folder in enumerate(host_folders)
                        ),
                    ],
                },
            },
        },
    }


def _claim(name: str, volume: Volume) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": format_bytes(volume.size)}},
    }
    if volume.storage_class is not None:
        spec["storageClassName"] = volume.storage_class
    return {"metadata": {"name": name}, "spec": spec}


def _labels(labels: Mapping[str, str]) -> dict[str, Any]:
    """What ECK adds anyway: a plan is to show which pods NetworkPolicies mean."""
    return {"labels": dict(labels)}


def _apart(labels: Mapping[str, str]) -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": dict(labels)}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _spread(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Over zones as far as it goes, over nodes that take them strictly: two on one would go with it, and a
    second claim on a node might take a local volume that is meant for somebody else."""
    return [
        _over_zones(labels),
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
            "nodeTaintsPolicy": "Honor",
            "labelSelector": {"matchLabels": dict(labels)},
        },
    ]


def _over_zones(labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }
