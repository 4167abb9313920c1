"""Operators of a stack: who needs which, where the API server is, and what they look after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.common.names import AGENTS_NAMESPACE
from components.common.problems import Problem, below
from components.eks.plan import EksPlan
from components.etcd.settings import CertManagerCertificates
from components.gke.plan import GkePlan
from components.onprem.plan import OnpremPlan
from components.operators.plan import (
    ApiServer,
    Need,
    OperatorKey,
    OperatorsPlan,
    missing_operators,
    plan_operators,
)
from components.virtual_ip.settings import KubernetesApi
from stacks.clusters import ClusterPlan
from stacks.settings import Settings


def operator_needs(settings: Settings) -> Iterator[Need]:
    """Parts of the stack that work only with an operator."""
    etcd = settings.etcd
    if etcd is not None and isinstance(etcd.certificates, CertManagerCertificates):
        yield Need(
            "certManager", "etcd.certificates.kind", "'cert-manager'", namespace=settings.tenant.namespace
        )
    if (monitoring := settings.monitoring) is not None:
        yield Need("prometheusOperator", "monitoring", "present", namespace=monitoring.namespace)
    if (logging := settings.logging) is not None:
        yield Need("eck", "logging", "present", namespace=logging.namespace)
        yield Need(
            "certManager", "logging.clusterIssuer", repr(logging.cluster_issuer), namespace=logging.namespace
        )


def plan_stack_operators(
    settings: Settings, cluster: ClusterPlan, images: Mapping[str, str]
) -> tuple[OperatorsPlan | None, list[Problem]]:
    """The plan of all operators, or None; problems with the paths of the whole file."""
    needs = tuple(operator_needs(settings))
    problems = list(missing_operators(settings.operators, needs))
    if settings.operators is None:
        return None, problems
    plan, found = plan_operators(
        settings.operators,
        images=images,
        api_server=api_server(cluster),
        watched=_watched(settings, needs),
        taken=_namespaces(settings, needs),
    )
    problems += below("operators", found)
    return (None if problems else plan), problems


def api_server(cluster: ClusterPlan) -> ApiServer | None:
    """Where the API server of the cluster is; None where its settings do not tell."""
    match cluster.below:
        case EksPlan() as eks:
            interfaces = tuple(str(zone.control_plane) for zone in eks.subnets)
            service = eks.settings.network.service_cidr[1]
            return ApiServer(((f"{service}/32", 443), *((cidr, 443) for cidr in interfaces)), interfaces)
        case GkePlan() as gke:
            control_plane, service = str(gke.addresses.control_plane), gke.addresses.services[1]
            # Webhooks are called from the control plane, or through agents on the nodes.
            callers = (control_plane, str(gke.addresses.nodes))
            return ApiServer(((f"{service}/32", 443), (control_plane, 443)), callers)
        case OnpremPlan(hosts=hosts) if hosts is not None:
            frontend = hosts.settings.control_plane.virtual_ip.frontend
            assert isinstance(frontend, KubernetesApi)
            service = hosts.settings.service_cidr[1]
            nodes = tuple(f"{node.address}/32" for node in hosts.settings.control_plane.nodes)
            endpoints = ((f"{service}/32", 443), *((node, frontend.server_port) for node in nodes))
            # A call to another node's pod comes from the address of the network plug-in's tunnel.
            return ApiServer(endpoints, (*nodes, str(hosts.settings.pod_cidr)))
        case _:
            return None


def _namespaces(settings: Settings, needs: tuple[Need, ...]) -> set[str]:
    """Of the stack, without those of the operators."""
    entry = getattr(settings.cluster, "entry_namespace", None)
    return {
        settings.tenant.namespace,
        AGENTS_NAMESPACE,
        *({entry} if entry else ()),
        *(n.namespace for n in needs),
    }


def _watched(settings: Settings, needs: tuple[Need, ...]) -> dict[OperatorKey, set[str]]:
    """Namespaces of custom resources: monitors are brought by each component, the others lie together."""
    return {
        "prometheusOperator": _namespaces(settings, needs),
        # Filebeat is an object of its own, where the agents of the nodes are.
        "eck": {settings.logging.namespace, AGENTS_NAMESPACE} if settings.logging else set(),
    }
