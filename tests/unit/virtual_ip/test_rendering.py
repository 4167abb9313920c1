"""What keepalived, haproxy and nftables are told."""

from __future__ import annotations

import re

from hypothesis import given

from components.virtual_ip.firewall import render_firewall
from components.virtual_ip.haproxy import render_haproxy
from components.virtual_ip.keepalived import render_keepalived
from components.virtual_ip.plan import VirtualIpPlan
from components.virtual_ip.scripts import render_guard, render_keepalived_start
from tests.unit.virtual_ip.examples import SERVER, plan, plans

DEFAULT = """\
global_defs {
    router_id node-1
    vrrp_version 3
    script_user nonroot
    enable_script_security
    vrrp_check_unicast_src
    vrrp_garp_master_refresh 60
}

vrrp_script proxy {
    script "/usr/bin/busybox timeout 1 /usr/bin/busybox wget -q -O /dev/null http://127.0.0.1:8404/healthz"
    interval 1
    timeout 2
    fall 1
    rise 2
    init_fail
}

track_file health {
    file /run/virtual-ip/health
    weight 254
}

vrrp_instance VI_1 {
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.3
    unicast_src_ip 192.168.1.11
    unicast_fault_no_peer
    unicast_peer {
        192.168.1.12
        192.168.1.13
    }
    virtual_ipaddress {
        192.168.1.100/24 dev eth0
    }
    track_script {
        proxy
    }
    track_file {
        health
    }
}
"""


def keepalived(planned: VirtualIpPlan) -> dict[str, str]:
    return {
        member.name: render_keepalived(planned, member, script_user="nonroot") for member in planned.members
    }


def haproxy(planned: VirtualIpPlan) -> str:
    return render_haproxy(planned, planned.members[0], [SERVER])


def test_the_default_configuration() -> None:
    assert keepalived(plan())["node-1"] == DEFAULT


@given(plans())
def test_peers_are_symmetric_and_nobody_is_its_own(planned: VirtualIpPlan) -> None:
    peers = {}
    for member, text in zip(planned.members, keepalived(planned).values(), strict=True):
        (block,) = re.findall(r"unicast_peer \{([^}]*)\}", text)
        peers[str(member.address)] = set(block.split())
        assert f"unicast_src_ip {member.address}\n" in text
    for address, others in peers.items():
        assert others == peers.keys() - {address}


@given(plans())
def test_no_node_ever_takes_the_address_back(planned: VirtualIpPlan) -> None:
    texts = keepalived(planned).values()
    assert all("state BACKUP\n    nopreempt\n" in text for text in texts)
    assert len({re.findall(r"priority (\d+)", text)[0] for text in texts}) == len(planned.members)
    assert len({re.findall(r"virtual_router_id (\d+)", text)[0] for text in texts}) == 1
    assert len({re.findall(r"advert_int (\S+)", text)[0] for text in texts}) == 1


@given(plans())
def test_the_check_runs_unprivileged_and_its_failure_is_a_fault(planned: VirtualIpPlan) -> None:
    for text in keepalived(planned).values():
        assert "enable_script_security" in text
        assert "script_user nonroot" in text
        (script,) = re.findall(r"vrrp_script proxy \{([^}]*)\}", text)
        assert "weight" not in script
        assert "init_fail" in script


@given(plans())
def test_vrrp_is_taken_from_peers_only(planned: VirtualIpPlan) -> None:
    for member in planned.members:
        text = render_firewall(planned, member)
        (peers,) = re.findall(r"set peers \{.*?elements = \{ (.*?) \}", text, re.DOTALL)
        assert peers.split(", ") == [str(peer.address) for peer in planned.peers(member)]
        assert f"@th,8,8 {planned.settings.router_id} ip saddr != @peers counter drop" in text


def test_the_guard_waits_for_the_lock_that_keepalived_holds() -> None:
    start, guard = render_keepalived_start(plan(), "/etc/keepalived.conf"), render_guard(plan())
    assert "/run/virtual-ip/lock" in start
    assert "flock /run/virtual-ip/lock /usr/bin/busybox ip address del 192.168.1.100/24 dev eth0" in guard
    # The lock goes with the process that keepalived becomes.
    assert start.index("flock 9") < start.index("exec /usr/sbin/keepalived")


def test_only_the_api_passes() -> None:
    text = haproxy(plan())
    assert "acl api path_beg /v1/\n" in text
    assert "acl health path /health\n" in text
    assert "deny deny_status 404 if !api !health" in text


def test_large_bodies_and_long_silences_are_bounded() -> None:
    text = haproxy(plan(frontend={"kind": "model-api", "plainHttp": True, "maxBody": "32Mi"}))
    assert f"req.hdr_val(content-length) gt {32 * 1024 * 1024}" in text
    assert "timeout server 600s" in text


def test_tls_is_terminated_by_the_named_certificate() -> None:
    assert (
        "bind 192.168.1.100:8443 transparent ssl crt /etc/virtual-ip/tls/tls.crt alpn h2,http/1.1"
        in haproxy(plan())
    )
    plain = plan(frontend={"kind": "model-api", "plainHttp": True})
    assert " ssl crt " not in haproxy(plain)


def test_a_completion_never_runs_twice() -> None:
    assert "retry-on conn-failure\n" in haproxy(plan())


def test_metrics_only_for_who_is_named() -> None:
    assert "prometheus" not in haproxy(plan())
    named = haproxy(plan(metricsCidrs=["10.244.0.0/16"]))
    assert "prometheus-exporter if { path /metrics } { src 10.244.0.0/16 }" in named


def test_the_majority_is_part_of_health_and_not_of_life() -> None:
    assert "monitor fail if { nbsrv(entry_nodes) lt 1 }" in haproxy(plan())
    assert "monitor fail" not in haproxy(plan(quorum=False))
    assert "return status 200 if { path /alive }" in haproxy(plan())
