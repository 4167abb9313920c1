"""A small virtual IP that tests change one thing in, and arbitrary valid ones."""

from __future__ import annotations

import math
from ipaddress import IPv4Network
from typing import Any

from hypothesis import strategies as st

from components.virtual_ip.plan import VirtualIpPlan, plan_virtual_ip
from components.virtual_ip.settings import VirtualIp

SERVER = "autoglm-phone-9b.autoglm.svc.cluster.local:8000"


def document(**changes: Any) -> dict[str, Any]:
    """The least that has to be written: nodes and what is behind the address."""
    return {
        "nodes": [{"name": f"node-{number}", "address": f"192.168.1.1{number}"} for number in (1, 2, 3)],
        "frontend": {"kind": "model-api", "tlsSecretName": "entry-tls"},
    } | changes


def settings(**changes: Any) -> VirtualIp:
    return VirtualIp.model_validate(document(**changes))


def plan(**changes: Any) -> VirtualIpPlan:
    planned, problems = plan_virtual_ip(settings(**changes))
    assert planned is not None, problems
    return planned


def refused(**changes: Any) -> list[str]:
    """Problems as `path: message`."""
    planned, problems = plan_virtual_ip(settings(**changes))
    assert planned is None
    return [f"{problem.path}: {problem.message}" for problem in problems]


@st.composite
def plans(draw: st.DrawFn) -> VirtualIpPlan:
    """Plans of valid settings."""
    network = IPv4Network((draw(st.integers(0x0A000000, 0x0AFFFFFF)) & ~0xFF, 24))
    count = draw(st.integers(2, 5))
    hosts = draw(st.lists(st.integers(1, 254), min_size=count + 1, max_size=count + 1, unique=True))
    version = draw(st.sampled_from([2, 3]))
    interval = draw(st.integers(1, 255)) * 1000 if version == 2 else draw(st.integers(15, 4095)) * 10
    kubernetes = draw(st.booleans())
    # Ten milliseconds apart at least, in any order.
    step = math.ceil(10 * 256 / (interval if version == 3 else 1000))
    priorities = draw(st.permutations([254 - index * step for index in range(count)]))
    return plan(
        instance=draw(st.sampled_from(["VI_1", "api", "models-2"])),
        interface=draw(st.sampled_from(["eth0", "bond0.100", "enp1s0"])),
        address=f"{network[hosts[0]]}/24",
        routerId=draw(st.integers(1, 255)),
        vrrpVersion=version,
        advertIntervalMs=interval,
        quorum=draw(st.booleans()),
        nodes=[
            {"name": f"node-{index}", "address": str(network[host]), "priority": priority}
            for index, (host, priority) in enumerate(zip(hosts[1:], priorities, strict=True))
        ],
        metricsCidrs=draw(st.sampled_from([[], ["10.244.0.0/16"], ["10.244.0.0/16", "172.16.0.0/12"]])),
        frontend={"kind": "kubernetes-api"} if kubernetes else {"kind": "model-api", "plainHttp": True},
    )
