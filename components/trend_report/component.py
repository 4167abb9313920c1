"""The TrendReport component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import batch, core, networking

from components.common.labels import object_labels, selector_labels
from components.common.network_policies import Flow, isolation, pods_in
from components.common.outputs import known_after
from components.common.pods import (
    mount,
    requirements,
    scratch_volume,
)
from components.common.quantities import MIB
from components.common.volumes import claim_spec, claim_volume, config_map_volume
from components.common.workloads import cron_job_spec, object_metadata, program_pod
from components.trend_report.plan import KEPT_JOBS, NAME, RESOURCES, TrendReportPlan

CONFIGURATION: Final = "/etc/trend-report"
REPORTS: Final = "/var/lib/trend-report"
_FILE: Final = "report.json"
_DEADLINE_SECONDS: Final = 1_800
"""A report takes seconds; the rest is patience with a Prometheus that starts."""
_LATEST_START_SECONDS: Final = 12 * 3_600
"""A cluster that was down on Monday morning makes the report in the afternoon."""


@dataclass(frozen=True)
class TrendReportArgs:
    """Inputs of a TrendReport."""

    namespace: pulumi.Input[str]
    """That of Prometheus and Alertmanager, whose NetworkPolicies let pods named trend-report in."""
    service_account: pulumi.Input[str]
    plan: TrendReportPlan
    image: pulumi.Input[str]
    protect: bool = False
    """Whether the volume with the reports is kept from deletion."""


class TrendReport(pulumi.ComponentResource):
    """CronJob that makes the weekly report, its volume, configuration and NetworkPolicy.

    It reaches Prometheus and Alertmanager and nothing else, and nothing reaches it.
    """

    claim: pulumi.Output[str]
    """Name of the claim of the reports' volume."""

    def __init__(self, name: str, args: TrendReportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:trend_report:TrendReport", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels(NAME, NAME, component="monitoring")
        metadata = object_metadata(NAME, args.namespace, labels)

        isolated = networking.v1.NetworkPolicy(
            name,
            metadata=metadata,
            spec=isolation(
                selector_labels(NAME, NAME),
                egress=[
                    Flow((pods_in(server.namespace, server.labels),), (server.port,))
                    for server in (plan.prometheus, plan.alertmanager)
                    if server is not None
                ],
            ),
            opts=child,
        )
        configuration = core.v1.ConfigMap(
            name, metadata=metadata, data={_FILE: plan.configuration}, opts=child
        )
        claim = core.v1.PersistentVolumeClaim(
            name,
            # A class that binds on first use leaves it Pending until the first report is made.
            metadata=object_metadata(NAME, args.namespace, labels, await_ready=False),
            spec=claim_spec(plan.settings.storage.size, plan.settings.storage.storage_class),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, retain_on_delete=args.protect),
        )
        self.claim = known_after(NAME, claim)
        batch.v1.CronJob(
            name,
            metadata=metadata,
            spec=cron_job_spec(
                labels,
                _pod(args, self.claim),
                schedule=plan.settings.schedule,
                time_zone=plan.settings.time_zone,
                latest_start_seconds=_LATEST_START_SECONDS,
                deadline_seconds=_DEADLINE_SECONDS,
                # Whatever failed, doing it again writes the same report.
                retries=3,
                kept=KEPT_JOBS,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[isolated, configuration]),
        )
        self.register_outputs({"claim": self.claim})


def _pod(args: TrendReportArgs, claim: pulumi.Input[str]) -> core.v1.PodSpecArgs:
    return program_pod(
        "report",
        args.image,
        "trend_report",
        [f"--config={CONFIGURATION}/{_FILE}", f"--out={REPORTS}"],
        service_account=args.service_account,
        resources=requirements(RESOURCES),
        mounts=[
            mount("configuration", CONFIGURATION),
            core.v1.VolumeMountArgs(name="reports", mount_path=REPORTS),
            core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
        ],
        volumes=[
            config_map_volume("configuration", NAME),
            claim_volume("reports", claim),
            scratch_volume("tmp", 16 * MIB),
        ],
    )
