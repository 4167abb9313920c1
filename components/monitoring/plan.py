"""From the settings of monitoring and the watched stack to what is built: pure, every problem collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Final

from components.common.problems import Problem
from components.common.quantities import format_bytes
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
from components.monitoring.sizing import Sizing, active_series, prometheus_sizing
from components.monitoring.stack import MonitoredStack

RELAY_IMAGE: Final = "alert-relay"
RELAY_NAME: Final = "alert-relay"
RELAY_PORT: Final = 8060
LONGEST_SCRAPE_INTERVAL: Final = 30
"""Seconds. The shortest window of an alert is a minute and must hold two samples."""
_LONGEST_WINDOW: Final = max(rate.long for rate in BURN_RATES)


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
    ]
    if problems:
        return None, problems
    endpoints = Endpoints(f"http://{RELAY_NAME}.{settings.namespace}.svc:{RELAY_PORT}")
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
        ),
        [],
    )


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
        if one.name not in (*routing.pages, *routing.tickets):
            yield Problem(f"{path}.name", f"{one.name!r}: is never used; list it in pages or tickets")
    for key, wanted in (("pages", routing.pages), ("tickets", routing.tickets)):
        for index, name in enumerate(wanted):
            if name not in names:
                yield Problem(f"routing.{key}[{index}]", f"{name!r}: is no receiver; add it to receivers")
            elif wanted.index(name) != index:
                yield Problem(f"routing.{key}[{index}]", f"{name!r}: is listed twice; remove one")
        if protect and not wanted:
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
    for index, cidr in enumerate(settings.relay_egress_cidrs):
        path = f"relayEgressCidrs[{index}]"
        try:
            network = IPv4Network(cidr)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            yield Problem(path, f"{cidr!r}: {error}; write a network such as 203.0.113.0/24")
            continue
        if network.prefixlen == 0:
            yield Problem(path, f"{cidr}: is everywhere; write the addresses of DingTalk or of your proxy")
