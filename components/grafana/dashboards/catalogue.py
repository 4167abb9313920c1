"""All dashboards of a stack."""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import table
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from components.grafana.dashboards.audit import audit
from components.grafana.dashboards.entry import entry
from components.grafana.dashboards.etcd import etcd
from components.grafana.dashboards.gpu import gpu
from components.grafana.dashboards.monitoring import monitoring
from components.grafana.dashboards.nodes import nodes
from components.grafana.dashboards.objectives import objectives
from components.grafana.dashboards.page import UID_PREFIX
from components.grafana.dashboards.service import service
from components.grafana.dashboards.view import View


def dashboards(view: View) -> Iterator[Dashboard]:
    """Dashboards on everything that the stack has, and on nothing that it has not; the overview first."""
    yield service(view)
    yield objectives(view)
    if view.stack.nvidia_gpus:
        yield gpu(view)
    if view.stack.virtual_ips:
        yield entry(view)
    if view.stack.etcd_members is not None:
        yield etcd(view, view.stack.etcd_members)
    yield nodes(view)
    if view.audit_metrics or view.audit_records:
        yield audit(view)
    yield monitoring(view)


def name(dashboard: Dashboard) -> str:
    """Short name, e.g. `service`."""
    return (dashboard.uid or "").removeprefix(UID_PREFIX)


def document(dashboard: Dashboard) -> str:
    """The dashboard as Grafana reads it: JSON, the same text for the same stack."""
    _as_grafana_has_it(dashboard)
    return JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(dashboard)


def _as_grafana_has_it(dashboard: Dashboard) -> None:
    """Without what the SDK always writes, and Grafana 13's own types do not have."""
    for variable in dashboard.templating.list_val or []:
        variable.auto = variable.auto_count = variable.auto_min = None
    for panel in dashboard.panels or []:
        if isinstance(panel, Panel) and isinstance(panel.options, table.Options):
            panel.options.footer = None
