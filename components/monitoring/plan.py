"""From the settings of monitoring and the watched stack to what is built: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Final

from components.common.demand import Demand
from components.common.problems import Problem
from components.common.quantities import MIB, format_bytes
from components.monitoring.alertmanager import Endpoints, configuration_text, mounted_secrets
from components.monitoring.alerts.objectives import (
    BURN_RATES,
    FIRST_TOKEN_BOUNDS,
    first_token_bound,
    objectives,
)
from components.monitoring.catalogue import rule_groups
from components.monitoring.durations import DAY, format_duration
from components.monitoring.rule import RuleGroup
from components.monitoring.settings import DingTalkReceiver, Monitoring, WeComReceiver
from components.monitoring.share import Share
from components.monitoring.sizing import Sizing, active_series, prometheus_sizing
from components.monitoring.stack import MonitoredStack, Scraped

RELAY_IMAGE: Final = "alert-relay"
PROMETHEUS_IMAGE: Final = "prometheus"
ALERTMANAGER_IMAGE: Final = "alertmanager"
NODE_EXPORTER_IMAGE: Final = "node-exporter"
KUBE_STATE_METRICS_IMAGE: Final = "kube-state-metrics"
DCGM_EXPORTER_IMAGE: Final = "dcgm-exporter"
RELAY_NAME: Final = "alert-relay"
RELAY_PORT: Final = 8060
LONGEST_SCRAPE_INTERVAL: Final = 30
"""Seconds. The shortest window of an alert is a minute and must hold two samples."""
_LONGEST_WINDOW: Final = max(rate.long for rate in BURN_RATES)


_CONFIG_RELOADER: Final = Share(cpu=10, memory=50 * MIB, cpu_limit=200)
"""prometheus-operator's helper beside Prometheus and Alertmanager, as its charts size it."""
_SMALLEST_LIMIT: Final = 500
"""Thousandths of a CPU: with less, a start takes minutes."""


@dataclass(frozen=True)
class Shares:
    """Of each container."""

    prometheus: Share
    alertmanager: Share
    relay: Share
    kube_state_metrics: Share
    node_exporter: Share
    dcgm_exporter: Share


@dataclass(frozen=True)
class MonitoringPlan:
    """Monitoring of a stack, checked."""

    settings: Monitoring
    stack: MonitoredStack
    groups: tuple[RuleGroup, ...]
    sizing: Sizing
    alertmanager: str
    """Text of Alertmanager's configuration; it holds no secret."""
    alertmanager_secrets: tuple[str, ...]
    """Secrets that Alertmanager is given as files."""
    robots: tuple[DingTalkReceiver, ...]
    """Of the alert relay; without any, there is no relay."""
    relay_image: str
    shares: Shares
    node_cidrs: tuple[str, ...]
    api_server_cidrs: tuple[str, ...]

    @property
    def own(self) -> bool:
        """Whether the stack has a Prometheus and an Alertmanager of its own."""
        return self.settings.existing is None

    @property
    def gpu_pools(self) -> tuple[str, ...]:
        """Node pools that DCGM exporter runs on."""
        own = self.own and self.settings.exporters.dcgm_exporter == "own"
        return self.stack.gpu_pools if own else ()

    @property
    def scraped(self) -> tuple[Scraped, ...]:
        """What other components bring monitors for."""
        return self.stack.scraped

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """Where Prometheus looks for pods, rules and monitors."""
        found = [self.settings.namespace, self.stack.namespace]
        found += [self.stack.agents_namespace] if self.stack.agents_namespace else []
        return tuple(dict.fromkeys([*found, *(one.namespace for one in self.scraped)]))

    @property
    def demand(self) -> Demand:
        """Of Prometheus, Alertmanager, kube-state-metrics and the relay, in their namespace."""
        if not self.own:
            return Demand()
        settings, shares = self.settings, self.shares
        prometheus = _demand(shares.prometheus, _CONFIG_RELOADER, storage=self.sizing.volume)
        alertmanager = _demand(shares.alertmanager, _CONFIG_RELOADER, storage=settings.alertmanager.volume)
        demand = prometheus * settings.prometheus.replicas + alertmanager * settings.alertmanager.replicas
        if settings.exporters.kube_state_metrics == "own":
            demand += _demand(shares.kube_state_metrics)
        if self.robots:
            # One more while it is updated.
            demand += _demand(shares.relay) * (settings.relay.replicas + 1)
        return demand

    @property
    def agents_demand(self) -> Demand:
        """Of the exporters on one node, with GPUs if any node has some."""
        demand = Demand()
        if self.own and self.settings.exporters.node_exporter == "own":
            demand += _demand(self.shares.node_exporter)
        if self.gpu_pools:
            demand += _demand(self.shares.dcgm_exporter)
        return demand


def _demand(*containers: Share, storage: int = 0) -> Demand:
    """Of a pod."""
    return Demand(
        cpu=sum(one.cpu for one in containers),
        cpu_limits=sum(one.cpu_limit for one in containers),
        memory=sum(one.memory for one in containers),
        ephemeral_storage=sum(one.ephemeral_storage for one in containers),
        storage=storage,
        claims=1 if storage else 0,
        pods=1,
    )


def plan_monitoring(
    settings: Monitoring, stack: MonitoredStack, *, images: Mapping[str, str], protect: bool
) -> tuple[MonitoringPlan | None, list[Problem]]:
    """The plan, or what is wrong with the settings.

    :param images: references with digest by name; an empty mapping has been reported already.
    :param protect: whether the stack holds what must not be lost, so that somebody must be told.
    """
    sizing = prometheus_sizing(
        active_series(stack),
        settings.scrape_interval,
        settings.prometheus.retention,
        settings.prometheus.volume,
    )
    problems = [
        *_scraping(settings, stack),
        *_thresholds(settings),
        *_objectives(settings),
        *_routing(settings, protect=protect),
        *_relay(settings, images),
        *_wecom(settings),
        *_servers(settings, stack, images),
    ]
    if problems:
        return None, problems
    endpoints = Endpoints(
        f"http://{RELAY_NAME}.{settings.namespace}.svc:{RELAY_PORT}",
        wecom=settings.routing.wecom_url,
        authority=settings.routing.proxy_ca,
    )
    nodes = settings.node_cidrs or stack.node_cidrs
    return (
        MonitoringPlan(
            settings=settings,
            stack=stack,
            groups=rule_groups(settings, stack),
            sizing=sizing,
            alertmanager=configuration_text(settings.routing, endpoints),
            alertmanager_secrets=mounted_secrets(settings.routing),
            robots=tuple(one for one in settings.routing.receivers if isinstance(one, DingTalkReceiver)),
            relay_image=images.get(RELAY_IMAGE, ""),
            shares=_shares(settings, sizing),
            node_cidrs=nodes,
            api_server_cidrs=settings.api_server_cidrs or nodes,
        ),
        [],
    )


def _shares(settings: Monitoring, sizing: Sizing) -> Shares:
    def share(cpu: int, memory: int, ephemeral_storage: int = 64 * MIB) -> Share:
        return Share(cpu, memory, max(4 * cpu, _SMALLEST_LIMIT), ephemeral_storage)

    exporter = settings.exporters.cpu
    return Shares(
        prometheus=share(settings.prometheus.cpu, settings.prometheus.memory or sizing.memory, 256 * MIB),
        alertmanager=share(settings.alertmanager.cpu, settings.alertmanager.memory),
        # Python's interpreter takes some 25 MiB, a message some hundred KiB.
        relay=share(settings.relay.cpu, 64 * MIB),
        kube_state_metrics=share(exporter, 128 * MIB),
        node_exporter=share(exporter, 48 * MIB),
        dcgm_exporter=share(exporter, 512 * MIB),
    )


def _servers(settings: Monitoring, stack: MonitoredStack, images: Mapping[str, str]) -> Iterator[Problem]:
    """What a Prometheus of the stack's own needs."""
    if settings.existing is not None:
        if settings.prometheus.model_fields_set or settings.alertmanager.model_fields_set:
            yield Problem(
                "existing", "the cluster's own Prometheus is used; remove prometheus and alertmanager"
            )
        return
    needed = {PROMETHEUS_IMAGE: True, ALERTMANAGER_IMAGE: True}
    needed[NODE_EXPORTER_IMAGE] = settings.exporters.node_exporter == "own"
    needed[KUBE_STATE_METRICS_IMAGE] = settings.exporters.kube_state_metrics == "own"
    needed[DCGM_EXPORTER_IMAGE] = settings.exporters.dcgm_exporter == "own" and bool(stack.gpu_pools)
    missing = [name for name, wanted in needed.items() if wanted and images and name not in images]
    if missing:
        yield Problem(
            "prometheus",
            f"needs images that are not listed: {', '.join(missing)}; add them with their digests, or say "
            "which exporters the cluster has (exporters), or that it has its own Prometheus (existing)",
        )
    if not (settings.node_cidrs or stack.node_cidrs):
        yield Problem("nodeCidrs", "empty: Prometheus would reach no kubelet; write the nodes' networks")
    for key, cidrs in (("nodeCidrs", settings.node_cidrs), ("apiServerCidrs", settings.api_server_cidrs)):
        yield from _networks(key, cidrs, "the nodes")


def _wecom(settings: Monitoring) -> Iterator[Problem]:
    used = [one for one in settings.routing.receivers if isinstance(one, WeComReceiver)]
    if used and settings.existing is None and not settings.wecom_egress_cidrs:
        yield Problem("wecomEgressCidrs", "empty: Alertmanager would reach no WeCom; write its addresses")
    yield from _networks("wecomEgressCidrs", settings.wecom_egress_cidrs, "WeCom or of your proxy")


def _networks(key: str, cidrs: tuple[str, ...], whose: str) -> Iterator[Problem]:
    for index, cidr in enumerate(cidrs):
        path = f"{key}[{index}]"
        try:
            network = IPv4Network(cidr)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            yield Problem(path, f"{cidr!r}: {error}; write a network such as 203.0.113.0/24")
            continue
        if network.prefixlen == 0:
            yield Problem(path, f"{cidr}: is everywhere; write the addresses of {whose}")


def _scraping(settings: Monitoring, stack: MonitoredStack) -> Iterator[Problem]:
    interval, prometheus = settings.scrape_interval, settings.prometheus
    if interval > LONGEST_SCRAPE_INTERVAL:
        yield Problem(
            "scrapeInterval",
            f"{format_duration(interval)}: windows of a minute would hold no two samples, so alerts would "
            f"not fire; write {LONGEST_SCRAPE_INTERVAL}s or less",
        )
    if prometheus.retention < _LONGEST_WINDOW:
        yield Problem(
            "prometheus.retention",
            f"{format_duration(prometheus.retention)}: the slowest alert looks back "
            f"{format_duration(_LONGEST_WINDOW)}; write {_LONGEST_WINDOW // DAY}d or more",
        )
    needed = prometheus_sizing(active_series(stack), interval, prometheus.retention)
    if prometheus.volume is not None and prometheus.volume < needed.volume:
        yield Problem(
            "prometheus.volume",
            f"{format_bytes(prometheus.volume)}: {format_duration(prometheus.retention)} of "
            f"{needed.series} series every {format_duration(interval)} need {format_bytes(needed.volume)}; "
            "raise it, or lower retention",
        )


def _thresholds(settings: Monitoring) -> Iterator[Problem]:
    limits = settings.thresholds
    if limits.disk_free_page_percent >= limits.disk_free_percent:
        yield Problem(
            "thresholds.diskFreePagePercent",
            f"{limits.disk_free_page_percent:g}: the page would come before the ticket at "
            f"{limits.disk_free_percent:g}; lower it",
        )


def _objectives(settings: Monitoring) -> Iterator[Problem]:
    seconds = settings.objectives.first_token_seconds
    if first_token_bound(seconds) is None:
        near = sorted(FIRST_TOKEN_BOUNDS, key=lambda bound: abs(float(bound) - seconds))[:2]
        yield Problem(
            "objectives.firstTokenSeconds",
            f"{seconds:g}: the engine does not count first tokens up to there; write "
            + " or ".join(f"{float(bound):g}" for bound in sorted(near, key=float)),
        )
    fastest = max(rate.factor for rate in BURN_RATES)
    for objective, key in zip(objectives(settings), ("availability", "firstToken"), strict=True):
        if fastest * objective.budget >= 1:
            yield Problem(
                f"objectives.{key}",
                f"{objective.promised:g}: a budget this large cannot burn {fastest:g} times too fast, so the "
                f"fastest alert would never fire; write more than {1 - 1 / fastest:.3f}",
            )


def _routing(settings: Monitoring, *, protect: bool) -> Iterator[Problem]:
    routing = settings.routing
    names = [one.name for one in routing.receivers]
    for index, one in enumerate(routing.receivers):
        path = f"routing.receivers[{index}]"
        if (first := names.index(one.name)) != index:
            yield Problem(
                f"{path}.name", f"{one.name!r}: already that of routing.receivers[{first}]; choose another"
            )
        if isinstance(one, WeComReceiver) and not (one.to_party or one.to_user or one.to_tag):
            yield Problem(path, f"{one.name!r}: is sent to nobody; write toParty, toUser or toTag")
        if one.name not in (*routing.pages, *routing.tickets, *routing.reports):
            yield Problem(
                f"{path}.name", f"{one.name!r}: is never used; list it in pages, tickets or reports"
            )
    for key, wanted in (
        ("pages", routing.pages),
        ("tickets", routing.tickets),
        ("reports", routing.reports),
    ):
        for index, name in enumerate(wanted):
            if name not in names:
                yield Problem(f"routing.{key}[{index}]", f"{name!r}: is no receiver; add it to receivers")
            elif wanted.index(name) != index:
                yield Problem(f"routing.{key}[{index}]", f"{name!r}: is listed twice; remove one")
        if protect and not wanted and key != "reports":
            yield Problem(f"routing.{key}", "empty: nobody would be told; name at least one of the receivers")


def _relay(settings: Monitoring, images: Mapping[str, str]) -> Iterator[Problem]:
    robots = [
        index for index, one in enumerate(settings.routing.receivers) if isinstance(one, DingTalkReceiver)
    ]
    if robots and images and RELAY_IMAGE not in images:
        yield Problem(
            f"routing.receivers[{robots[0]}]",
            f"needs the image {RELAY_IMAGE!r}, which is not listed; add it with its digest",
        )
    if robots and not settings.relay_egress_cidrs:
        yield Problem(
            "relayEgressCidrs", "empty: the alert relay would reach no DingTalk; write its addresses"
        )
    yield from _networks("relayEgressCidrs", settings.relay_egress_cidrs, "DingTalk or of your proxy")
