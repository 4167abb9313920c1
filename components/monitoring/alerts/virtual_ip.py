"""Alerts on virtual IPs: who holds an address, from node exporter with `--collector.netdev.address-info`.

What counts is where the address is, not what keepalived believes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, Level, RecordingRule, RuleGroup, Series, Severity
from components.monitoring.rule import level as constant
from components.monitoring.settings import Monitoring
from components.monitoring.stack import NODE_EXPORTER, MonitoredStack

AREA: Final = "virtual-ip"
HOLDER: Final = "virtual_ip:held:bool"


def virtual_ip(settings: Monitoring, stack: MonitoredStack) -> RuleGroup:
    """Alerts on a stack's addresses."""
    return RuleGroup(
        "virtual-ip",
        tuple(_holders(address) for address in stack.virtual_ips),
        tuple(_alerts(settings.thresholds.virtual_ip_moves, stack.virtual_ips[0])),
    )


def _holders(address: str) -> RecordingRule:
    """1 for the node that holds the address, 0 for the others."""
    held = f'max by (instance) (node_network_address_info{{address="{address}"}})'
    return RecordingRule(
        HOLDER,
        f"{held} or max by (instance) (node_load1) * 0",
        {"address": address},
    )


def _alerts(moves: int, address: str) -> Iterator[AlertRule]:
    def node(name: str, held: Level) -> tuple[Series, ...]:
        labels = f'job="{NODE_EXPORTER}",instance="{name}"'
        extra = f'device="eth0",netmask="32",scope="global",address="{address}"'
        return (
            Series(f"node_load1{{{labels}}}", constant(1)),
            Series(f"node_network_address_info{{{labels},{extra}}}", held),
        )

    expected = ({"address": address},)
    yield AlertRule(
        name="VirtualIpHeldTwice",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (address) ({HOLDER}) > 1",
        hold=30,
        summary="{{ $value }} nodes hold {{ $labels.address }}",
        description="Clients reach one or the other at random: the nodes do not hear each other.",
        runbook="split-brain",
        firing=Evidence(
            (*node("node-1", constant(1)), *node("node-2", constant(1))), true_from=0, labels=expected
        ),
        silent=(*node("node-1", constant(1)), *node("node-2", Level(((None, 120), (1, 15), (None, 0))))),
    )
    yield AlertRule(
        name="VirtualIpAbsent",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (address) ({HOLDER}) == 0",
        hold=MINUTE,
        summary="No node holds {{ $labels.address }}",
        description="Clients reach nothing.",
        runbook="virtual-ip",
        firing=Evidence(
            (*node("node-1", constant(None)), *node("node-2", constant(None))), true_from=0, labels=expected
        ),
        silent=(*node("node-1", constant(1)), *node("node-2", constant(None))),
    )
    # There and back, every minute and a half: each move is two changes, one on either node.
    here = tuple((value, 90) for value in (1, None) * 10)
    there = tuple((value, 90) for value in (None, 1) * 10)
    yield AlertRule(
        name="VirtualIpFlapping",
        severity=Severity.PAGE,
        area=AREA,
        expr=f"sum by (address) (changes({HOLDER}[15m])) / 2 >= {moves}",
        hold=0,
        summary="{{ $labels.address }} has moved {{ $value }} times in a quarter of an hour",
        description="Each move breaks the connections that were open.",
        runbook="virtual-ip",
        firing=Evidence(
            (*node("node-1", Level(here)), *node("node-2", Level(there))),
            true_from=90 * moves,
            labels=expected,
        ),
        silent=(
            *node("node-1", Level(((1, 600), (None, 0)))),
            *node("node-2", Level(((None, 600), (1, 0)))),
        ),
    )
