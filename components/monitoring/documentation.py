"""docs/alerts.md, from the rules: `python -m components.monitoring.documentation`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from components.common.names import AGENTS_NAMESPACE
from components.monitoring.alertmanager import INHIBITIONS
from components.monitoring.alerts.accelerators import counters_file
from components.monitoring.alerts.kubernetes import LABELS_OPTION
from components.monitoring.catalogue import rule_groups
from components.monitoring.durations import format_duration
from components.monitoring.rule import AlertRule, RuleGroup
from components.monitoring.settings import Monitoring
from components.monitoring.stack import MonitoredStack

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
EXAMPLE: Final = MonitoredStack(
    namespace="autoglm",
    models={"autoglm-phone-9b": 3},
    nodes=6,
    pods=80,
    etcd_members=3,
    virtual_ips=("192.168.1.100",),
    nvidia_gpus=16,
    cert_manager=True,
    agents_namespace=AGENTS_NAMESPACE,
    audit_collectors=3,
    audit_receiver=True,
    logging_namespace="logging",
)
"""A stack with every part that is watched."""

_INTRODUCTION: Final = """\
# Alerts

<!-- Made from the rules by `python -m components.monitoring.documentation`; do not edit. -->

{count} alerts. A **page** asks somebody to look now, a **ticket** in working hours. Thresholds are those of
the default settings (`monitoring.thresholds`, `monitoring.objectives`); rules on parts that a stack has not
are left out of it.

- **Proof.** Each alert brings samples, and promtool shows for each that it fires exactly when its condition
  has held for its time, not one evaluation before, and not close to its threshold
  (`tests/artifacts/test_alerts.py`).
- **Contract.** Every metric, label and value that a rule names is on a page of `tests/artifacts/metrics`,
  whose first lines say where it comes from. Recorded from running programs: vLLM, etcd, kubelet,
  kube-state-metrics, node exporter, Prometheus, Alertmanager, the audit collector. Taken from
  source, because nothing here could be asked: DCGM exporter, cert-manager, and of kube-state-metrics a failed
  Job and the label of a node pool.
- **Delivery.** WeCom by Alertmanager itself, DingTalk through `apps/alert_relay`, which signs. The real
  Alertmanager with the rendered configuration and the real relay have delivered to stand-ins of both on
  loopback that check signature and tokens (`tests/artifacts/test_alertmanager.py`); neither service itself
  has been sent anything. The relay is ours because Alertmanager has no receiver for DingTalk and no adapter
  that is kept up could be had from a package registry (November 2026).
- **Secrets** are files: `wecom` reads `api-secret`, the relay `access-token` and `signing-secret`, both
  from mounted Secrets. This needs Alertmanager 0.31 or newer.

## What must be scraped

A stack with a Prometheus of its own brings all of it but cert-manager ([monitoring](monitoring.md)). Where
the cluster has a Prometheus already (`monitoring.existing`), it must offer:

| exporter | needed for | option |
|---|---|---|
| kube-state-metrics | workloads, pools, weights | `{labels_option}`, `honorLabels: true` |
| node exporter | disks, virtual IPs | `--collector.netdev.address-info` on clusters with a virtual IP |
| kubelet | volumes | – |
| DCGM exporter 4.8 or newer | GPUs | collectors below, `honorLabels: true` |
| cert-manager | certificates | its metrics scraped with `honorLabels: true` |

DCGM exporter's collectors (`--collectors`):

```
{counters}```

Jobs of these may have any name. With node exporter, `instance` should be the node's name, as in
kube-prometheus.

## What is left out while more is known

| while this fires | these are not sent | if these are equal |
|---|---|---|
| a page | the ticket of the same name | alertname, namespace, model, slo |
{inhibitions}
"""


def _entry(alert: AlertRule, wanted: str) -> str:
    labels = "".join(f", {name} `{value}`" for name, value in alert.labels.items())
    runbook = f"[{alert.runbook}](runbooks/{alert.runbook}.md)"
    kind = f"**{alert.severity}**, after {format_duration(alert.hold)}{labels}. Runbook: {runbook}."
    return f"### {wanted}\n\n{kind}\n{alert.description}\n\n```promql\n{alert.expr}\n```"


def _section(group: RuleGroup) -> str:
    title = group.name.replace("-", " ").capitalize()
    recording = "".join(f"\n- `{rule.name}` = `{rule.expr}`" for rule in group.recording)
    parts = [f"## {title}"]
    if recording:
        parts.append(f"Recorded:\n{recording}")
    for alert in group.alerts:
        parts.append(_entry(alert, " ".join([alert.name, *alert.labels.values()])))
    return "\n\n".join(parts)


def markdown() -> str:
    """The page."""
    groups = rule_groups(Monitoring.model_validate({"runbooks": "https://git.example.com/runbooks"}), EXAMPLE)
    rows = [
        "| "
        + " | ".join(
            ", ".join(names) for names in (inhibition.causes, inhibition.consequences, inhibition.equal)
        )
        + " |"
        for inhibition in INHIBITIONS
    ]
    head = _INTRODUCTION.format(
        count=sum(len(group.alerts) for group in groups),
        inhibitions="\n".join(rows),
        counters=counters_file(),
        labels_option=LABELS_OPTION,
    )
    return "\n\n".join([head.rstrip(), *(_section(group) for group in groups)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
