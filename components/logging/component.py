"""The LogStore and LogShipper components."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_kubernetes import apiextensions, batch, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.names import bounded_name
from components.common.network_policies import Flow, isolation, pods, pods_in
from components.common.outputs import known_after
from components.common.pods import (
    container_security_context,
    pod_security_context,
    requirements,
    scratch_volume,
)
from components.common.quantities import MIB
from components.common.volumes import secret_volume
from components.common.workloads import disruption_budget, object_metadata
from components.logging import eck, lifecycle, views
from components.logging.certificates import certificate
from components.logging.plan import NAME, SETUP_RESOURCES, LoggingPlan, logstash_host, trail_client
from components.logging.shipper.configuration import LOGSTASH_PORT

ELASTICSEARCH_PORT: Final = 9200
TRANSPORT_PORT: Final = 9300
KIBANA_PORT: Final = 5601
SETUP: Final = "log-setup"
_DOCUMENTS: Final = "/etc/log-setup/documents"
_SECRETS: Final = "/etc/log-setup"
_SETUP_SECONDS: Final = 1500
"""Elasticsearch's and Kibana's first start included: images are large."""


@dataclass(frozen=True)
class LogStoreArgs:
    """Inputs of a LogStore."""

    namespace: pulumi.Input[str]
    service_account: pulumi.Input[str]
    plan: LoggingPlan


class LogStore(pulumi.ComponentResource):
    """Elasticsearch, Kibana and Logstash as objects of the Elastic operator, isolated and set up.

    The operator makes certificates and users; their passwords exist in its Secrets alone. A Job tells
    Elasticsearch how long logs are kept and Kibana what people look at; it runs again when that changes.
    """

    kibana: pulumi.Output[str]
    """Where Kibana is, inside the cluster."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:logging:LogStore", name, None, opts)
        self._name = name
        self._args = args
        self._plan = args.plan
        policies = self._isolation()
        elasticsearch = self._object(
            "elasticsearch",
            eck.ELASTICSEARCH_API,
            "Elasticsearch",
            eck.elasticsearch(self._plan),
            depends_on=policies,
            protect=self._plan.protect,
        )
        kibana = self._object(
            "kibana", eck.KIBANA_API, "Kibana", eck.kibana(self._plan), depends_on=[elasticsearch]
        )
        self._logstash(elasticsearch)
        self._disruption("kibana", eck.selector("kibana"))
        self._disruption("logstash", eck.selector("logstash"))
        setup = self._setup([elasticsearch, kibana])
        self.kibana = known_after(self._plan.kibana_url, kibana, setup)
        self.register_outputs({"kibana": self.kibana})

    def _metadata(self, name: str, component: str) -> meta.v1.ObjectMetaArgs:
        labels = object_labels(component, name, component="logging")
        return object_metadata(name, self._args.namespace, labels)

    def _object(
        self,
        name: str,
        api_version: str,
        kind: str,
        spec: Mapping[str, Any],
        *,
        object_name: str = NAME,
        depends_on: list[pulumi.Resource],
        protect: bool = False,
    ) -> apiextensions.CustomResource:
        return apiextensions.CustomResource(
            f"{self._name}-{name}",
            api_version=api_version,
            kind=kind,
            metadata=self._metadata(object_name, name),
            spec=dict(spec),
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on, protect=protect),
        )

    def _logstash(self, elasticsearch: pulumi.Resource) -> None:
        plan = self._plan
        host = logstash_host(plan.settings.namespace)
        server = certificate(
            f"{self._name}-logstash",
            self._metadata(eck.SERVER_SECRET, "logstash"),
            secret=eck.SERVER_SECRET,
            cluster_issuer=plan.settings.cluster_issuer,
            common_name="logstash",
            usage="server auth",
            dns_names=(host, f"{host}.cluster.local"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        certificates = [server]
        if plan.trail is not None:
            certificates.append(
                certificate(
                    f"{self._name}-logstash-trail",
                    self._metadata(eck.TRAIL_SECRET, "logstash"),
                    secret=eck.TRAIL_SECRET,
                    cluster_issuer=plan.settings.cluster_issuer,
                    common_name="logstash",
                    usage="client auth",
                    dns_names=(trail_client(plan.settings.namespace),),
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        self._object(
            "logstash",
            eck.LOGSTASH_API,
            "Logstash",
            eck.logstash(plan),
            depends_on=[elasticsearch, *certificates],
        )
        if (files := plan.settings.logstash.files) is not None:
            self._object(
                "log-files",
                eck.LOGSTASH_API,
                "Logstash",
                eck.log_files(plan, files.claim, files.pattern),
                object_name=eck.FILES_NAME,
                depends_on=[elasticsearch],
            )

    def _disruption(self, name: str, selected: Mapping[str, str]) -> None:
        """Elasticsearch's own the operator makes, and changes with the cluster's health."""
        disruption_budget(
            f"{self._name}-{name}",
            self._metadata(f"{NAME}-{name}", name),
            selected,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _isolation(self) -> list[pulumi.Resource]:
        """Each reaches what it works with; from outside, the operator, Filebeat and the named namespaces."""
        plan, settings = self._plan, self._plan.settings
        elasticsearch = eck.selector("elasticsearch")
        kibana = eck.selector("kibana")
        logstash = {eck.TYPE_LABEL: "logstash"}
        setup = selector_labels(SETUP, SETUP)
        operator = pods_in(plan.operator_namespace)
        store = Flow((pods(elasticsearch),), (ELASTICSEARCH_PORT,))
        specifications = {
            "elasticsearch": isolation(
                elasticsearch,
                ingress=[
                    Flow((pods(elasticsearch),), (TRANSPORT_PORT, ELASTICSEARCH_PORT)),
                    Flow(
                        (
                            pods(kibana),
                            pods(logstash),
                            pods(setup),
                            operator,
                            *(pods_in(one) for one in plan.reader_namespaces),
                        ),
                        (ELASTICSEARCH_PORT,),
                    ),
                ],
                egress=[Flow((pods(elasticsearch),), (TRANSPORT_PORT, ELASTICSEARCH_PORT))],
            ),
            "kibana": isolation(
                kibana,
                ingress=[
                    Flow((pods(setup), *(pods_in(one) for one in settings.kibana_clients)), (KIBANA_PORT,))
                ],
                egress=[store],
            ),
            "logstash": isolation(
                logstash,
                ingress=[
                    Flow((pods_in(plan.agents_namespace, eck.selector("beat")),), (LOGSTASH_PORT,)),
                ],
                egress=[
                    store,
                    *(
                        [Flow((pods_in(trail.namespace, trail.pod_labels),), (trail.port,))]
                        if (trail := plan.trail) is not None
                        else []
                    ),
                ],
            ),
            SETUP: isolation(setup, egress=[store, Flow((pods(kibana),), (KIBANA_PORT,))]),
        }
        return [
            networking.v1.NetworkPolicy(
                f"{self._name}-{name}",
                metadata=self._metadata(name, name),
                spec=specification,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for name, specification in specifications.items()
        ]

    def _setup(self, depends_on: list[pulumi.Resource]) -> batch.v1.Job:
        plan = self._plan
        documents = {
            "elasticsearch.json": json.dumps([one.document() for one in lifecycle.calls(plan)], indent=1),
            "kibana.ndjson": views.saved_objects(),
        }
        # A Job's template cannot change: other documents make another Job.
        digest = hashlib.sha256(repr(sorted(documents.items())).encode()).hexdigest()[:10]
        object_name = bounded_name(SETUP, digest)
        labels = object_labels(SETUP, SETUP, component="logging")
        config = core.v1.ConfigMap(
            f"{self._name}-setup",
            metadata=self._metadata(object_name, SETUP),
            data=documents,
            immutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return batch.v1.Job(
            f"{self._name}-setup",
            metadata=self._metadata(object_name, SETUP),
            spec=batch.v1.JobSpecArgs(
                backoff_limit=3,
                active_deadline_seconds=_SETUP_SECONDS + 120,
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels),
                    spec=self._setup_pod(object_name),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*depends_on, config],
                custom_timeouts=pulumi.CustomTimeouts(create="30m", update="30m", delete="5m"),
            ),
        )

    def _setup_pod(self, config_map: str) -> core.v1.PodSpecArgs:
        plan = self._plan
        secrets = {
            "user": (f"{NAME}-es-elastic-user", "elastic"),
            "elasticsearch": (f"{NAME}-es-http-certs-public", "ca.crt"),
            "kibana": (f"{NAME}-kb-http-certs-public", "ca.crt"),
        }
        return core.v1.PodSpecArgs(
            restart_policy="Never",
            service_account_name=self._args.service_account,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pod_security_context(),
            containers=[
                core.v1.ContainerArgs(
                    name=SETUP,
                    image=plan.images[SETUP],
                    image_pull_policy="IfNotPresent",
                    command=["python3", "-m", "log_setup"],
                    args=[
                        f"--documents={_DOCUMENTS}",
                        f"--password-file={_SECRETS}/user/elastic",
                        f"--elasticsearch={plan.elasticsearch_url}",
                        f"--elasticsearch-ca={_SECRETS}/elasticsearch/ca.crt",
                        f"--kibana={plan.kibana_url}",
                        f"--kibana-ca={_SECRETS}/kibana/ca.crt",
                        f"--patience={_SETUP_SECONDS}",
                    ],
                    resources=requirements(SETUP_RESOURCES),
                    security_context=container_security_context(),
                    termination_message_policy="FallbackToLogsOnError",
                    volume_mounts=[
                        core.v1.VolumeMountArgs(name="documents", mount_path=_DOCUMENTS, read_only=True),
                        core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                        *(
                            core.v1.VolumeMountArgs(name=key, mount_path=f"{_SECRETS}/{key}", read_only=True)
                            for key in secrets
                        ),
                    ],
                )
            ],
            volumes=[
                core.v1.VolumeArgs(
                    name="documents", config_map=core.v1.ConfigMapVolumeSourceArgs(name=config_map)
                ),
                scratch_volume("tmp", 16 * MIB),
                *(secret_volume(key, secret, (item,)) for key, (secret, item) in secrets.items()),
            ],
        )


@dataclass(frozen=True)
class LogShipperArgs:
    """Inputs of a LogShipper."""

    namespace: pulumi.Input[str]
    """Of agents of nodes."""
    service_account: pulumi.Input[str]
    plan: LoggingPlan


class LogShipper(pulumi.ComponentResource):
    """Filebeat on every node: reads its logs, masks them, keeps them on disk and sends them to Logstash."""

    def __init__(self, name: str, args: LogShipperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:logging:LogShipper", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            labels = object_labels("filebeat", NAME, component="logging")
            return object_metadata(object_name, args.namespace, labels)

        client = certificate(
            f"{name}-client",
            metadata(eck.CLIENT_SECRET),
            secret=eck.CLIENT_SECRET,
            cluster_issuer=plan.settings.cluster_issuer,
            common_name="filebeat",
            usage="client auth",
            dns_names=(f"filebeat.{plan.agents_namespace}",),
            opts=child,
        )
        isolated = networking.v1.NetworkPolicy(
            name,
            metadata=metadata("filebeat"),
            spec=isolation(
                eck.selector("beat"),
                egress=[
                    Flow((pods_in(plan.settings.namespace, eck.selector("logstash")),), (LOGSTASH_PORT,))
                ],
            ),
            opts=child,
        )
        apiextensions.CustomResource(
            name,
            api_version=eck.BEAT_API,
            kind="Beat",
            metadata=metadata(NAME),
            spec=eck.filebeat(plan, args.service_account),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[client, isolated]),
        )
        self.register_outputs({})
