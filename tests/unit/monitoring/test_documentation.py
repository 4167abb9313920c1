"""What people read is what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.monitoring.catalogue import rule_groups
from components.monitoring.documentation import PAGE, markdown
from components.monitoring.rule import AlertRule
from tests.unit.monitoring.examples import STACK, settings

RUNBOOKS = PAGE.parent / "runbooks"
ALERTS = [alert for group in rule_groups(settings(), STACK) for alert in group.alerts]
OWN = {
    *(
        "alert-delivery",
        "audit-anomaly",
        "audit-trail",
        "certificate-expiry",
        "disk-full",
        "error-budget",
        "etcd-slow",
        "gpu-memory",
        "gpu-xid",
    ),
    *("kv-cache-full", "model-servers-down", "model-slow", "monitoring", "node-not-ready", "node-pool-full"),
    *("pods-restarting", "replicas-unavailable", "requests-failing"),
}
"""Written for these alerts; the others are older, and serve them too."""


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "run `python -m components.monitoring.documentation`"
    )


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_every_alert_has_a_runbook(alert: AlertRule) -> None:
    page = RUNBOOKS / f"{alert.runbook}.md"
    assert page.is_file()
    if alert.runbook in OWN:
        assert f"`{alert.name}`" in page.read_text(encoding="utf-8")


def test_no_runbook_is_left_over() -> None:
    assert {alert.runbook for alert in ALERTS} >= OWN


@pytest.mark.parametrize("name", sorted(OWN))
def test_links_of_runbooks_lead_somewhere(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (RUNBOOKS / Path(target)).is_file(), target
