"""The NodeExporter component."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_kubernetes import core

from components.common.pods import container_port, container_security_context, pod_security_context
from components.common.volumes import folder_volume
from components.monitoring import ports
from components.monitoring.containers import requirements
from components.monitoring.node_agents import NodeAgentArgs, daemon_set
from components.monitoring.stack import NODE_EXPORTER

COLLECTORS: Final = (
    *("cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "os", "pressure"),
    *("stat", "time", "timex", "uname", "vmstat"),
)
"""What alerts, dashboards and reports ask for. Each more is a hundred series a node."""
_POD_FILE_SYSTEMS: Final = (
    r"^/(dev|proc|run/credentials/.+|run/containerd/.+|sys|var/lib/(containerd|kubelet|docker)/.+"
    # A cluster that keeps them elsewhere, such as the embedded one.
    r"|.+/(kubelet/pods|io\.containerd\.[^/]+)/.+)($|/)"
)
_POD_INTERFACES: Final = r"^(veth.+|lo)$"
_HOST: Final = "/host"


class NodeExporter(pulumi.ComponentResource):
    """Disks, network and addresses of every node as metrics.

    It shares the node's network, for that is what it reports on (a virtual IP's holder is seen there), and
    reads the node's files; it may write nothing, is not root and has no capabilities. NetworkPolicies do not
    apply to it: it listens on the node's own address only, and firewalls of nodes close the port to others.
    """

    def __init__(self, name: str, args: NodeAgentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:monitoring:NodeExporter", name, None, opts)
        daemon_set(
            name,
            NODE_EXPORTER,
            args,
            _pod(args),
            max_unavailable="10%",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _probe(period: int) -> core.v1.ProbeArgs:
    # The kubelet is on the node: whoever listens on the port answers.
    return core.v1.ProbeArgs(
        tcp_socket=core.v1.TCPSocketActionArgs(port="metrics"),
        period_seconds=period,
        timeout_seconds=3,
        failure_threshold=3,
        success_threshold=1,
    )


def _pod(args: NodeAgentArgs) -> core.v1.PodSpecArgs:
    return core.v1.PodSpecArgs(
        service_account_name=args.service_account,
        automount_service_account_token=False,
        enable_service_links=False,
        host_network=True,
        dns_policy="Default",
        security_context=pod_security_context(),
        priority_class_name="system-node-critical",
        termination_grace_period_seconds=10,
        # On every node, whatever keeps others away.
        tolerations=[core.v1.TolerationArgs(operator="Exists")],
        containers=[
            core.v1.ContainerArgs(
                name="node-exporter",
                image=args.image,
                image_pull_policy="IfNotPresent",
                args=[
                    f"--web.listen-address=$(NODE_ADDRESS):{ports.NODE_EXPORTER}",
                    f"--path.procfs={_HOST}/proc",
                    f"--path.sysfs={_HOST}/sys",
                    f"--path.rootfs={_HOST}/root",
                    f"--collector.filesystem.mount-points-exclude={_POD_FILE_SYSTEMS}",
                    f"--collector.netdev.device-exclude={_POD_INTERFACES}",
                    "--collector.netdev.address-info",
                    "--collector.disable-defaults",
                    *(f"--collector.{one}" for one in COLLECTORS),
                ],
                env=[
                    core.v1.EnvVarArgs(
                        name="NODE_ADDRESS",
                        value_from=core.v1.EnvVarSourceArgs(
                            field_ref=core.v1.ObjectFieldSelectorArgs(
                                api_version="v1", field_path="status.hostIP"
                            )
                        ),
                    )
                ],
                ports=[container_port("metrics", ports.NODE_EXPORTER)],
                resources=requirements(args.plan.shares.node_exporter),
                security_context=container_security_context(),
                readiness_probe=_probe(10),
                liveness_probe=_probe(30),
                termination_message_policy="FallbackToLogsOnError",
                volume_mounts=[
                    core.v1.VolumeMountArgs(
                        name=name,
                        mount_path=f"{_HOST}/{name}",
                        read_only=True,
                        # What is mounted later is seen too.
                        mount_propagation="HostToContainer",
                    )
                    for name in ("proc", "sys", "root")
                ],
            )
        ],
        volumes=[
            folder_volume(name, path) for name, path in (("proc", "/proc"), ("sys", "/sys"), ("root", "/"))
        ],
    )
