"""The way in: the virtual IPs, who holds them, and what comes through them."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, ValueMappingResult

from components.grafana.dashboards.page import Section, page
from components.grafana.dashboards.panels import (
    GREEN,
    RED,
    STATUS,
    YELLOW,
    Limit,
    Query,
    Step,
    single,
    states,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.alerts.model_service import ANSWERS
from components.monitoring.alerts.virtual_ip import HOLDER

KEY: Final = "entry"
_HELD: Final = f"sum by (address) ({HOLDER})"


def entry(view: View) -> Dashboard:
    """Virtual IPs of a stack."""
    return page(
        KEY,
        "Entry and virtual IPs",
        "Where each address is, as the nodes' network interfaces have it, whatever keepalived believes.",
        [_now(view), _holders(view), _requests(view)],
    )


def _now(view: View) -> Section:
    return Section(
        "Now",
        [
            single(
                view,
                "Addresses",
                units.NoUnit,
                Query(f"count({_HELD})", "addresses"),
                meaning="Virtual IPs of the stack.",
            ),
            single(
                view,
                "Nodes that hold an address, fewest",
                units.NoUnit,
                Query(f"min({_HELD})", "fewest"),
                meaning="None: clients reach nothing.",
                steps=(Step(None, RED), Step(1, GREEN)),
                alert=view.alert("VirtualIpAbsent"),
            ),
            single(
                view,
                "Nodes that hold an address, most",
                units.NoUnit,
                Query(f"max({_HELD})", "most"),
                meaning="Two: the nodes do not hear each other, and clients reach either of them.",
                steps=(Step(None, GREEN), Step(2, RED)),
                alert=view.alert("VirtualIpHeldTwice"),
            ),
            single(
                view,
                "Moves, last day",
                units.NoUnit,
                Query(f"sum(changes({HOLDER}[1d])) / 2", "moves"),
                meaning="Each one breaks the connections that were open.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
                decimals=0,
                over_time=False,
            ),
        ],
        per_line=4,
        height=4,
    )


def _holders(view: View) -> Section:
    return Section(
        "Who holds an address",
        [
            states(
                view,
                "Holder",
                Query(f"max by (address, instance) ({HOLDER})", "{{address}} on {{instance}}"),
                meaning="The node that has the address on one of its interfaces.",
                texts={
                    "0": ValueMappingResult(text="waits", color="dark-grey", index=0),
                    "1": ValueMappingResult(text="holds", color=GREEN, index=1),
                },
                alerts=[view.alert("VirtualIpAbsent"), view.alert("VirtualIpHeldTwice")],
            ),
            time_series(
                view,
                "Moves within a quarter of an hour",
                units.Short,
                Query(f"sum by (address) (changes({HOLDER}[15m])) / 2", "{{address}}"),
                meaning="From here on, the address is called flapping.",
                limit=Limit(view.limits.virtual_ip_moves, view.alert("VirtualIpFlapping")),
            ),
        ],
        per_line=2,
    )


def _requests(view: View) -> Section:
    where = f'{ANSWERS},namespace="{view.stack.namespace}"'
    rate = f"(rate(http_requests_total{{{where}}}[$__rate_interval]))"
    return Section(
        "What comes through",
        [
            time_series(
                view,
                "Requests by status",
                units.RequestsPerSecond,
                Query(f"sum by (status) {rate}", "{{status}}"),
                meaning="Requests for answers that reach the models, by class of status code.",
                stacked=True,
                colours=STATUS,
            ),
            time_series(
                view,
                "Requests by replica",
                units.RequestsPerSecond,
                Query(f"sum by (pod) {rate}", "{{pod}}"),
                meaning="How evenly they are spread.",
                stacked=True,
            ),
        ],
        per_line=2,
    )
