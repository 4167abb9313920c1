"""From the settings of operators to what is installed: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from components.common.problems import Problem, below
from components.common.quantities import Resources
from components.operators.images import image_parts
from components.operators.settings import (
    CertManagerChart,
    Chart,
    EckChart,
    ExistingOperator,
    Operators,
    PrometheusOperatorChart,
)
from components.operators.values import (
    CERT_MANAGER_IMAGES,
    CONFIG_RELOADER_IMAGE,
    ECK_IMAGE,
    ECK_METRICS_PORT,
    PROMETHEUS_OPERATOR_IMAGE,
    cert_manager_values,
    definitions_values,
    eck_values,
    prometheus_operator_values,
)

OperatorKey = Literal["certManager", "prometheusOperator", "eck"]
"""As in the settings."""
KEYS: Final[tuple[OperatorKey, ...]] = ("certManager", "prometheusOperator", "eck")
PRIORITY_CLASS: Final = "autoglm-platform-operators"
_KUBERNETES_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_ELASTICSEARCH: Final = ({"common.k8s.elastic.co/type": "elasticsearch"}, 9200)


@dataclass(frozen=True)
class Need:
    """A part of the stack that works only with an operator."""

    operator: OperatorKey
    path: str
    """Of the key that asks for it."""
    value: str
    """Of that key, for messages."""
    namespace: str
    """Where its custom resources are."""


@dataclass(frozen=True)
class ApiServer:
    """The cluster's API server, as NetworkPolicies see it."""

    endpoints: tuple[tuple[str, int], ...]
    """Networks and TCP ports at which pods reach it: the Service's address and those behind it, since some
    network plug-ins look at a packet before its destination is translated, others after."""
    callers: tuple[str, ...]
    """Networks from which it calls webhooks."""


@dataclass(frozen=True)
class PodAccess:
    """Who may reach some pods of an operator, and what those reach besides the API server."""

    name: str
    selector: Mapping[str, str]
    webhook_port: int | None = None
    """Called by the API server."""
    metrics_port: int | None = None
    services: tuple[tuple[str, Mapping[str, str], int], ...] = ()
    """Namespace, labels and TCP port of pods that they call."""


@dataclass(frozen=True)
class ChartPlan:
    """A chart, and what it is given."""

    release: str
    reference: str
    """With digest."""
    version: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class OperatorPlan:
    """An operator that is installed, checked."""

    key: OperatorKey
    name: str
    namespace: str
    charts: tuple[ChartPlan, ...]
    """In the order of their installation."""
    access: tuple[PodAccess, ...]
    pods: int
    """At once, with those that an update starts before it ends others."""
    jobs: int
    container: Resources
    """The largest container; each pod has one."""


@dataclass(frozen=True)
class OperatorsPlan:
    """Operators of a stack, checked."""

    settings: Operators
    installed: tuple[OperatorPlan, ...]
    """In the order of `KEYS`."""
    api_server: ApiServer

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those of the operators that are installed."""
        return tuple(operator.namespace for operator in self.installed)


def missing_operators(settings: Operators | None, needs: Sequence[Need]) -> Iterator[Problem]:
    """Needs that no operator meets; paths are those of the whole file."""
    given = _by_key(settings)
    for need in needs:
        if given[need.operator] is None:
            yield Problem(
                need.path,
                f"{need.value}: needs operators.{need.operator}, which is missing; write kind: chart to have "
                "it installed, or kind: existing where the cluster runs it already",
            )


def plan_operators(
    settings: Operators,
    *,
    images: Mapping[str, str],
    api_server: ApiServer | None,
    watched: Mapping[OperatorKey, Collection[str]],
    taken: Collection[str] = (),
) -> tuple[OperatorsPlan | None, list[Problem]]:
    """The plan of all operators, or what is wrong; paths are relative to the section.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param api_server: as the cluster's settings tell it; None where they do not.
    :param watched: namespaces whose custom resources an operator looks after; none: all.
    :param taken: namespaces of other parts of the stack.
    """
    server = api_server or _stated_server(settings)
    problems = list(_server_problems(settings, server))
    installed: list[OperatorPlan] = []
    namespaces: dict[str, str] = {}
    for key, operator in _by_key(settings).items():
        if operator is None or isinstance(operator, ExistingOperator):
            continue
        found = [
            *_image_problems(key, operator, images),
            *_namespace_problems(key, operator.namespace, namespaces, taken),
        ]
        problems += below(key, found)
        if not found:
            installed.append(_plan(key, operator, images, sorted(watched.get(key, ()))))
    if problems or server is None:
        return None, problems
    return OperatorsPlan(settings, tuple(installed), server), []


_Installed = CertManagerChart | PrometheusOperatorChart | EckChart


def _by_key(settings: Operators | None) -> dict[OperatorKey, _Installed | ExistingOperator | None]:
    if settings is None:
        return dict.fromkeys(KEYS)
    return {
        "certManager": settings.cert_manager,
        "prometheusOperator": settings.prometheus_operator,
        "eck": settings.eck,
    }


def _charts(settings: Operators) -> bool:
    return any(isinstance(operator, Chart) for operator in _by_key(settings).values())


_PORT: Final = 443
_KUBEADM_PORT: Final = 6443


def _stated_server(settings: Operators) -> ApiServer | None:
    cidrs = tuple(str(cidr) for cidr in settings.api_server_cidrs)
    if not cidrs:
        # Without a chart nobody asks.
        return None if _charts(settings) else ApiServer((), ())
    return ApiServer(tuple((cidr, port) for cidr in cidrs for port in (_PORT, _KUBEADM_PORT)), cidrs)


def _server_problems(settings: Operators, server: ApiServer | None) -> Iterator[Problem]:
    if server is None:
        yield Problem(
            "apiServerCidrs",
            "missing: the settings of the cluster do not tell where its API server is, and operators may "
            "reach nothing else; write its networks, that of the Service kubernetes included",
        )


def _image_names(operator: _Installed) -> tuple[str, ...]:
    match operator:
        case CertManagerChart():
            return tuple(CERT_MANAGER_IMAGES.values())
        case PrometheusOperatorChart():
            return PROMETHEUS_OPERATOR_IMAGE, CONFIG_RELOADER_IMAGE
        case EckChart():
            return (ECK_IMAGE,)


def _image_problems(key: OperatorKey, operator: _Installed, images: Mapping[str, str]) -> Iterator[Problem]:
    """Images are those of the chart's version: chart and program of cert-manager and of ECK share one."""
    for name in _image_names(operator) if images else ():
        if name not in images:
            yield Problem(
                "kind", f"'chart': needs the image {name!r}, which is not listed; add it with its digest"
            )
            continue
        parts = image_parts(images[name])
        if not parts.registry:
            yield Problem(
                "kind",
                f"'chart': image {name!r} names no registry, and the chart would take a public one; write "
                "host/repository:tag@sha256:…",
            )
        if key != "prometheusOperator" and parts.tag and parts.tag != operator.version:
            yield Problem(
                "version",
                f"{operator.version!r}: image {name!r} is {parts.tag}, and the chart is made for its own "
                "version; correct one of the two",
            )


def _namespace_problems(
    key: OperatorKey, namespace: str, others: dict[str, str], taken: Collection[str]
) -> Iterator[Problem]:
    if namespace in _KUBERNETES_NAMESPACES:
        yield Problem("namespace", f"{namespace!r}: belongs to Kubernetes itself; give the operator its own")
    elif namespace in taken:
        yield Problem(
            "namespace", f"{namespace!r}: another part of the stack has it; give the operator its own"
        )
    elif (other := others.setdefault(namespace, key)) != key:
        yield Problem("namespace", f"{namespace!r}: {other}.namespace is the same; give each its own")


def _chart(release: str, chart: Chart, values: Mapping[str, Any]) -> ChartPlan:
    return ChartPlan(release, f"{chart.chart}@{chart.digest}", chart.version, values)


def _plan(
    key: OperatorKey, operator: _Installed, images: Mapping[str, str], watched: Sequence[str]
) -> OperatorPlan:
    match operator:
        case CertManagerChart():
            return _cert_manager(key, operator, images)
        case PrometheusOperatorChart():
            return _prometheus_operator(key, operator, images, watched)
        case EckChart():
            return _eck(key, operator, images, watched)


def _cert_manager(key: OperatorKey, settings: CertManagerChart, images: Mapping[str, str]) -> OperatorPlan:
    name = "cert-manager"
    values = cert_manager_values(settings, images, priority_class=PRIORITY_CLASS) if images else {}

    def access(component: str, webhook_port: int | None = None) -> PodAccess:
        labels = {"app.kubernetes.io/instance": name, "app.kubernetes.io/component": component}
        return PodAccess(f"{name}-{component}", labels, webhook_port, metrics_port=9402)

    return OperatorPlan(
        key=key,
        name=name,
        namespace=settings.namespace,
        charts=(_chart(name, settings, values),),
        access=(
            access("controller"),
            access("webhook", webhook_port=10250),
            access("cainjector"),
            PodAccess(
                f"{name}-startupapicheck",
                {"app.kubernetes.io/instance": name, "app.kubernetes.io/component": "startupapicheck"},
            ),
        ),
        # A Deployment of one or two replicas starts one more before it ends an old one.
        pods=3 * (settings.replicas + 1) + 1,
        jobs=2,
        container=settings.resources.resources(),
    )


def _prometheus_operator(
    key: OperatorKey,
    settings: PrometheusOperatorChart,
    images: Mapping[str, str],
    watched: Sequence[str],
) -> OperatorPlan:
    name = "prometheus-operator"
    values = (
        prometheus_operator_values(settings, images, priority_class=PRIORITY_CLASS, namespaces=watched)
        if images
        else {}
    )
    return OperatorPlan(
        key=key,
        name=name,
        namespace=settings.namespace,
        charts=(
            _chart(f"{name}-crds", settings.definitions, definitions_values()),
            _chart(name, settings, values),
        ),
        access=(
            PodAccess(
                name,
                {"app": "kube-prometheus-stack-operator", "release": name},
                metrics_port=8080,
            ),
        ),
        pods=2,
        jobs=0,
        container=settings.resources.resources(),
    )


def _eck(
    key: OperatorKey, settings: EckChart, images: Mapping[str, str], watched: Sequence[str]
) -> OperatorPlan:
    name = "eck-operator"
    values = eck_values(settings, images, priority_class=PRIORITY_CLASS, namespaces=watched) if images else {}
    labels, port = _ELASTICSEARCH
    return OperatorPlan(
        key=key,
        name=name,
        namespace=settings.namespace,
        charts=(_chart(name, settings, values),),
        access=(
            PodAccess(
                name,
                {"app.kubernetes.io/name": "elastic-operator", "app.kubernetes.io/instance": name},
                webhook_port=9443,
                metrics_port=ECK_METRICS_PORT,
                services=tuple((namespace, labels, port) for namespace in watched),
            ),
        ),
        pods=settings.replicas,
        jobs=0,
        container=settings.resources.resources(),
    )
