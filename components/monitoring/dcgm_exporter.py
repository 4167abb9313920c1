"""The DcgmExporter component: metrics of NVIDIA GPUs. No GPU was at hand: it has been planned, not run."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_kubernetes import core, networking

from components.common.labels import NODE_POOL, selector_labels
from components.common.network_policies import Flow, isolation, pods_in
from components.common.pods import container_port, http_probe, mount, scratch_volume
from components.common.quantities import MIB
from components.common.volumes import config_map_volume, folder_volume
from components.common.workloads import object_metadata
from components.monitoring import ports
from components.monitoring.alerts.accelerators import counters_file
from components.monitoring.containers import requirements
from components.monitoring.node_agents import NodeAgentArgs, agent_labels, daemon_set
from components.monitoring.stack import DCGM_EXPORTER, PROMETHEUS

_COUNTERS: Final = "counters.csv"
_DIRECTORY: Final = "/etc/dcgm-exporter/platform"
_POD_RESOURCES: Final = "/var/lib/kubelet/pod-resources"
"""Socket of the kubelet that tells which pod has which GPU."""


class DcgmExporter(pulumi.ComponentResource):
    """Load, memory, temperature and errors of the GPUs of every node that has some.

    It is root on the node's GPUs without being given one: NVIDIA's container runtime shows it all of them,
    and takes none away from pods. It has no capabilities, which the counters of its list do without.
    """

    def __init__(self, name: str, args: NodeAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:monitoring:DcgmExporter", name, None, opts)
        plan = args.plan
        child = pulumi.ResourceOptions(parent=self)
        metadata = object_metadata(DCGM_EXPORTER, args.namespace, agent_labels(DCGM_EXPORTER))
        counters = core.v1.ConfigMap(name, metadata=metadata, data={_COUNTERS: counters_file()}, opts=child)
        isolated = networking.v1.NetworkPolicy(
            name,
            metadata=metadata,
            spec=isolation(
                selector_labels(DCGM_EXPORTER, DCGM_EXPORTER),
                ingress=[
                    Flow(
                        (pods_in(plan.settings.namespace, {"app.kubernetes.io/name": PROMETHEUS}),),
                        (ports.DCGM_EXPORTER,),
                    )
                ],
            ),
            opts=child,
        )
        daemon_set(
            name,
            DCGM_EXPORTER,
            args,
            _pod(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[counters, isolated]),
        )
        self.register_outputs({})


def _pod(args: NodeAgentArgs) -> core.v1.PodSpecArgs:
    expressions = [
        core.v1.NodeSelectorRequirementArgs(
            key=NODE_POOL, operator="In", values=list(args.plan.stack.gpu_pools)
        )
    ]
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        # DCGM opens the devices as root.
        security_context=core.v1.PodSecurityContextArgs(
            seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault")
        ),
        priority_class_name="system-node-critical",
        termination_grace_period_seconds=30,
        affinity=core.v1.AffinityArgs(
            node_affinity=core.v1.NodeAffinityArgs(
                required_during_scheduling_ignored_during_execution=core.v1.NodeSelectorArgs(
                    node_selector_terms=[core.v1.NodeSelectorTermArgs(match_expressions=expressions)]
                )
            )
        ),
        tolerations=[core.v1.TolerationArgs(operator="Exists")],
        containers=[
            core.v1.ContainerArgs(
                name="dcgm-exporter",
                image=args.image,
                image_pull_policy="IfNotPresent",
                args=[
                    f"--address=:{ports.DCGM_EXPORTER}",
                    f"--collectors={_DIRECTORY}/{_COUNTERS}",
                    "--kubernetes=true",
                ],
                env=[
                    core.v1.EnvVarArgs(name="NVIDIA_VISIBLE_DEVICES", value="all"),
                    core.v1.EnvVarArgs(name="NVIDIA_DRIVER_CAPABILITIES", value="utility,compute"),
                ],
                ports=[container_port("metrics", ports.DCGM_EXPORTER)],
                resources=requirements(args.plan.shares.dcgm_exporter),
                security_context=core.v1.SecurityContextArgs(
                    run_as_user=0,
                    run_as_non_root=False,
                    allow_privilege_escalation=False,
                    read_only_root_filesystem=True,
                    capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
                    seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
                ),
                startup_probe=http_probe("/health", "metrics", period=10, failures=30),
                readiness_probe=http_probe("/health", "metrics", period=10),
                liveness_probe=http_probe("/health", "metrics", period=30),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    mount("counters", _DIRECTORY),
                    mount("pod-resources", _POD_RESOURCES),
                    core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp"),
                ],
            )
        ],
        volumes=[
            config_map_volume("counters", DCGM_EXPORTER),
            folder_volume("pod-resources", _POD_RESOURCES),
            scratch_volume("tmp", 16 * MIB),
        ],
    )
