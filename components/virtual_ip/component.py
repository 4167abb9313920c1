"""The VirtualIp component."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes import apps, core, meta, networking

from components.common.labels import object_labels, selector_labels
from components.common.outputs import known_after
from components.common.pods import container_security_context, mount, requirements, scratch_volume
from components.common.quantities import MIB, Resources
from components.common.volumes import config_map_volume, secret_volume
from components.common.workloads import object_metadata
from components.virtual_ip.firewall import render_firewall
from components.virtual_ip.haproxy import ALIVE_PATH, TLS_FOLDER, render_haproxy
from components.virtual_ip.keepalived import BUSYBOX, RUN_FOLDER, check_command, render_keepalived
from components.virtual_ip.plan import VirtualIpPlan
from components.virtual_ip.scripts import (
    MONITOR_HEARTBEAT,
    NFT,
    render_guard,
    render_haproxy_start,
    render_keepalived_start,
    render_monitor,
)
from components.virtual_ip.settings import ModelApi

NAME: Final = "virtual-ip"
CONFIGURATION: Final = "/etc/virtual-ip/configuration"
SCRIPT_USER: Final = "nonroot"
"""User 65532 of the image."""
KEEPALIVED_CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETGID", "SETUID")
"""Addresses and neighbours; VRRP's own IP protocol and gratuitous ARP; the check script's user."""
FIREWALL_CAPABILITIES: Final = ("NET_ADMIN",)
_GRACE_SECONDS: Final = 90
"""haproxy lets requests finish for 60 s; see hard-stop-after."""
_HEARTBEAT_SECONDS: Final = 10
_NODE: Final = "$(NODE_NAME)"
_SMALL: Final = Resources(cpu=20, memory=32 * MIB, ephemeral_storage=16 * MIB)
_PROXY: Final = Resources(cpu=500, memory=256 * MIB, ephemeral_storage=64 * MIB)
_SCRATCH_BYTES: Final = MIB


@dataclass(frozen=True)
class VirtualIpArgs:
    """Inputs of a VirtualIp."""

    plan: VirtualIpPlan
    namespace: str
    """Made by the component, for these pods alone: pod security is `privileged` there."""
    pod_security_version: str
    """Kubernetes minor version of the pod security standard, e.g. `v1.36`."""
    image: pulumi.Input[str]
    """Image `virtual-ip`, by digest."""
    upstream: str
    """`host:port` of the model servers' Service, by its full DNS name."""


class VirtualIp(pulumi.ComponentResource):
    """keepalived, its guard and monitor, and haproxy on every entry node.

    The pods are on the nodes' own network, because the address is the node's: NetworkPolicies do not apply to
    them. In their place each node's nftables rules admit peers only, see firewall.py. No pod is privileged:
    three containers have the capabilities named above, the others none.
    """

    namespace: pulumi.Output[str]
    """Name of the namespace."""

    def __init__(self, name: str, args: VirtualIpArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("autoglm:virtual_ip:VirtualIp", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        labels = object_labels(NAME, args.plan.settings.instance.lower(), component="entry")
        namespace = _namespace(name, args, labels, child)
        self.namespace = known_after(args.namespace, namespace)

        def metadata(object_name: str) -> meta.v1.ObjectMetaArgs:
            return object_metadata(object_name, self.namespace, labels)

        _bounds(name, args, metadata("entry"), child)
        files = _files(args)
        configuration = core.v1.ConfigMap(
            f"{name}-configuration", metadata=metadata(NAME), data=files, opts=child
        )
        core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=metadata(NAME),
            automount_service_account_token=False,
            opts=child,
        )
        _daemon_set(
            name,
            args,
            metadata(NAME),
            labels,
            configuration=known_after(NAME, configuration),
            fingerprint=_fingerprint(files),
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create="5m", update="10m", delete="5m")
            ),
        )
        self.register_outputs({"namespace": self.namespace})


def _files(args: VirtualIpArgs) -> dict[str, str]:
    """Everything rendered, by file name; what differs between nodes begins with the node's name."""
    plan = args.plan
    files = {
        "guard.sh": render_guard(plan),
        "monitor.sh": render_monitor(plan),
        "haproxy.sh": render_haproxy_start(f'{CONFIGURATION}/"$NODE_NAME".haproxy.cfg'),
        "keepalived.sh": render_keepalived_start(plan, f'{CONFIGURATION}/"$NODE_NAME".keepalived.conf'),
    }
    for member in plan.members:
        files[f"{member.name}.keepalived.conf"] = render_keepalived(plan, member, script_user=SCRIPT_USER)
        files[f"{member.name}.haproxy.cfg"] = render_haproxy(plan, member, [args.upstream])
        files[f"{member.name}.vrrp.nft"] = render_firewall(plan, member)
    return files


def _fingerprint(files: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


def _namespace(
    name: str, args: VirtualIpArgs, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> core.v1.Namespace:
    return core.v1.Namespace(
        f"{name}-entry-namespace",
        metadata=meta.v1.ObjectMetaArgs(
            name=args.namespace,
            labels=labels
            | {
                f"pod-security.kubernetes.io/{mode}{suffix}": value
                for mode, level in (("enforce", "privileged"), ("audit", "baseline"), ("warn", "baseline"))
                for suffix, value in (("", level), ("-version", args.pod_security_version))
            },
        ),
        opts=opts,
    )


def _bounds(
    name: str, args: VirtualIpArgs, metadata: meta.v1.ObjectMetaArgs, opts: pulumi.ResourceOptions
) -> None:
    """What every namespace comes with: no traffic, a quota, limits."""
    networking.v1.NetworkPolicy(
        f"{name}-default-deny",
        metadata=metadata,
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
        ),
        opts=opts,
    )
    # One pod for each node, and one more on each while an update replaces it.
    pods = 2 * len(args.plan.members)
    containers = _PROXY, _SMALL, _SMALL, _SMALL
    quota = {
        **{
            f"{kind}.{resource}": Resources(
                *(
                    pods * sum(getattr(one, field) for one in containers)
                    for field in ("cpu", "memory", "ephemeral_storage")
                )
            ).amounts()[resource]
            for kind in ("requests", "limits")
            for resource in ("cpu", "memory", "ephemeral-storage")
        },
        "pods": str(pods),
        "persistentvolumeclaims": "0",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    core.v1.ResourceQuota(
        f"{name}-quota", metadata=metadata, spec=core.v1.ResourceQuotaSpecArgs(hard=quota), opts=opts
    )
    core.v1.LimitRange(
        f"{name}-limits",
        metadata=metadata,
        spec=core.v1.LimitRangeSpecArgs(
            limits=[
                core.v1.LimitRangeItemArgs(
                    type="Container",
                    default=_SMALL.amounts(),
                    default_request=_SMALL.amounts(),
                    max=_PROXY.amounts(),
                )
            ]
        ),
        opts=opts,
    )


def _daemon_set(
    name: str,
    args: VirtualIpArgs,
    metadata: meta.v1.ObjectMetaArgs,
    labels: dict[str, str],
    *,
    configuration: pulumi.Input[str],
    fingerprint: str,
    opts: pulumi.ResourceOptions,
) -> apps.v1.DaemonSet:
    selector = selector_labels(NAME, args.plan.settings.instance.lower())
    return apps.v1.DaemonSet(
        name,
        metadata=metadata,
        spec=apps.v1.DaemonSetSpecArgs(
            selector=meta.v1.LabelSelectorArgs(match_labels=selector),
            # One node after the other: the next goes only when this one is ready again.
            update_strategy=apps.v1.DaemonSetUpdateStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.v1.RollingUpdateDaemonSetArgs(max_unavailable=1, max_surge=0),
            ),
            min_ready_seconds=10,
            template=core.v1.PodTemplateSpecArgs(
                metadata=meta.v1.ObjectMetaArgs(
                    labels=labels, annotations={"autoglm-platform/configuration": fingerprint}
                ),
                spec=_pod(args, configuration),
            ),
        ),
        opts=opts,
    )


def _pod(args: VirtualIpArgs, configuration: pulumi.Input[str]) -> core.v1.PodSpecArgs:
    frontend = args.plan.settings.frontend
    volumes = [
        config_map_volume("configuration", configuration),
        scratch_volume("run", _SCRATCH_BYTES, in_memory=True),
    ]
    certificate = []
    if isinstance(frontend, ModelApi) and frontend.tls_secret_name:
        volumes.append(secret_volume("tls", frontend.tls_secret_name))
        certificate.append(mount("tls", TLS_FOLDER))
    return core.v1.PodSpecArgs(
        host_network=True,
        # On the node's network, and still by the cluster's DNS.
        dns_policy="ClusterFirstWithHostNet",
        service_account_name=NAME,
        automount_service_account_token=False,
        enable_service_links=False,
        priority_class_name="system-node-critical",
        termination_grace_period_seconds=_GRACE_SECONDS,
        affinity=_entry_nodes(args.plan),
        tolerations=[
            core.v1.TolerationArgs(
                key="node-role.kubernetes.io/control-plane", operator="Exists", effect="NoSchedule"
            )
        ],
        security_context=core.v1.PodSecurityContextArgs(
            # The Secret's files belong to this group.
            fs_group=65532,
            seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        init_containers=[
            _container(
                "firewall",
                args,
                [NFT, "-f", f"{CONFIGURATION}/{_NODE}.vrrp.nft"],
                capabilities=FIREWALL_CAPABILITIES,
            )
        ],
        containers=[
            _container(
                "guard",
                args,
                [BUSYBOX, "sh", f"{CONFIGURATION}/guard.sh"],
                # Waiting for the lock is all that it does while keepalived is well.
                alive=[BUSYBOX, "pidof", "flock"],
                capabilities=FIREWALL_CAPABILITIES,
            ),
            _container(
                "keepalived",
                args,
                [BUSYBOX, "sh", f"{CONFIGURATION}/keepalived.sh"],
                alive=_shell(f'kill -0 "$({BUSYBOX} cat {RUN_FOLDER}/vrrp.pid)"'),
                capabilities=KEEPALIVED_CAPABILITIES,
            ),
            _container(
                "monitor",
                args,
                [BUSYBOX, "sh", f"{CONFIGURATION}/monitor.sh"],
                alive=_shell(
                    f"seen=$({BUSYBOX} stat -c %Y {RUN_FOLDER}/{MONITOR_HEARTBEAT}); "
                    f"[ $(($({BUSYBOX} date +%s) - seen)) -lt {_HEARTBEAT_SECONDS} ]"
                ),
            ),
            _container(
                "haproxy",
                args,
                [BUSYBOX, "sh", f"{CONFIGURATION}/haproxy.sh"],
                alive=check_command(args.plan, ALIVE_PATH),
                resources=_PROXY,
                mounts=certificate,
            ),
        ],
        volumes=volumes,
    )


def _entry_nodes(plan: VirtualIpPlan) -> core.v1.AffinityArgs:
    """By name: labels are given to nodes by whoever installs them."""
    return core.v1.AffinityArgs(
        node_affinity=core.v1.NodeAffinityArgs(
            required_during_scheduling_ignored_during_execution=core.v1.NodeSelectorArgs(
                node_selector_terms=[
                    core.v1.NodeSelectorTermArgs(
                        match_fields=[
                            core.v1.NodeSelectorRequirementArgs(
                                key="metadata.name", operator="In", values=[member.name]
                            )
                        ]
                    )
                    for member in plan.members
                ]
            )
        )
    )


def _container(
    name: str,
    args: VirtualIpArgs,
    command: Sequence[str],
    *,
    alive: Sequence[str] | None = None,
    capabilities: Sequence[str] = (),
    resources: Resources = _SMALL,
    mounts: Sequence[core.v1.VolumeMountArgs] = (),
) -> core.v1.ContainerArgs:
    return core.v1.ContainerArgs(
        name=name,
        image=args.image,
        image_pull_policy="IfNotPresent",
        command=list(command),
        env=[
            core.v1.EnvVarArgs(
                name="NODE_NAME",
                value_from=core.v1.EnvVarSourceArgs(
                    field_ref=core.v1.ObjectFieldSelectorArgs(field_path="spec.nodeName")
                ),
            )
        ],
        resources=requirements(resources),
        security_context=_root_with(capabilities) if capabilities else _unprivileged(),
        termination_message_policy="FallbackToLogsOnError",
        volume_mounts=[
            core.v1.VolumeMountArgs(name="configuration", mount_path=CONFIGURATION, read_only=True),
            core.v1.VolumeMountArgs(name="run", mount_path=RUN_FOLDER),
            *mounts,
        ],
        readiness_probe=_probe(alive, period_seconds=5) if alive else None,
        liveness_probe=_probe(alive, period_seconds=10) if alive else None,
    )


def _shell(command: str) -> list[str]:
    return [BUSYBOX, "sh", "-c", command]


def _probe(command: Sequence[str], *, period_seconds: int) -> core.v1.ProbeArgs:
    return core.v1.ProbeArgs(
        exec_=core.v1.ExecActionArgs(command=list(command)),
        period_seconds=period_seconds,
        timeout_seconds=3,
        failure_threshold=3,
    )


def _root_with(capabilities: Sequence[str]) -> core.v1.SecurityContextArgs:
    """User 0, without any of root's rights but these: only then does Kubernetes put them into effect."""
    return core.v1.SecurityContextArgs(
        run_as_user=0,
        run_as_group=0,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=core.v1.CapabilitiesArgs(drop=["ALL"], add=list(capabilities)),
        seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def _unprivileged() -> core.v1.SecurityContextArgs:
    context = container_security_context()
    context.run_as_user = 65532
    context.run_as_group = 65532
    return context
