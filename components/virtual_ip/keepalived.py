"""keepalived's configuration of one entry node.

Keys and their meaning: keepalived.conf(5) of keepalived 2.2.7, Debian 12's.
"""

from __future__ import annotations

from typing import Final

from components.virtual_ip.plan import Member, VirtualIpPlan

BUSYBOX: Final = "/usr/bin/busybox"
RUN_FOLDER: Final = "/run/virtual-ip"
"""Lock, process ids and the state of health, shared by the processes of a node's entry."""
HEALTH_FILE: Final = "health"
"""0 while the node may hold the address, -1 while it must not; in the run folder."""
CHECK_SECONDS: Final = 1
"""Between two runs of the check script, the shortest that keepalived 2.2 knows; and for each of them, by its
own clock: keepalived has no right to end a process of another user."""
GARP_REFRESH_SECONDS: Final = 60
"""A switch or neighbour that has missed the gratuitous ARP of a takeover learns of it after this long."""


def check_command(plan: VirtualIpPlan, path: str = "/healthz") -> tuple[str, ...]:
    """Fails unless the proxy of this node answers that it is well."""
    url = f"http://127.0.0.1:{plan.settings.health_port}{path}"
    # Not wget's own -T, with which Debian 12's busybox crashes.
    return (BUSYBOX, "timeout", str(CHECK_SECONDS), BUSYBOX, "wget", "-q", "-O", "/dev/null", url)


def render_keepalived(
    plan: VirtualIpPlan, member: Member, *, script_user: str, run_folder: str = RUN_FOLDER
) -> str:
    """keepalived.conf of one member; its check runs as `script_user`, who needs no privilege at all.

    Two ways lead to a fault. The monitor writes to a file, which keepalived sees at once: a node that is cut
    off has given up the address before another one takes it. The check script asks once a second, so that
    a monitor that is gone is no gap.

    Every node starts as backup and none takes the address back (`nopreempt`): a node that fails now and then
    would interrupt all clients each time it recovers. A failed check is a fault (no weight), so that the
    address never stays with a dead proxy.
    """
    settings = plan.settings
    peers = "\n".join(f"        {peer.address}" for peer in plan.peers(member))
    return f"""\
global_defs {{
    router_id {member.name}
    vrrp_version {settings.vrrp_version}
    script_user {script_user}
    enable_script_security
    vrrp_check_unicast_src
    vrrp_garp_master_refresh {GARP_REFRESH_SECONDS}
}}

vrrp_script proxy {{
    script "{" ".join(check_command(plan))}"
    interval {CHECK_SECONDS}
    timeout {CHECK_SECONDS + 1}
    fall 1
    rise 2
    init_fail
}}

track_file health {{
    file {run_folder}/{HEALTH_FILE}
    weight 254
}}

vrrp_instance {settings.instance} {{
    state BACKUP
    nopreempt
    interface {settings.interface}
    virtual_router_id {settings.router_id}
    priority {member.priority}
    advert_int {_seconds(settings.advert_interval_ms)}
    unicast_src_ip {member.address}
    unicast_fault_no_peer
    unicast_peer {{
{peers}
    }}
    virtual_ipaddress {{
        {plan.address} dev {settings.interface}
    }}
    track_script {{
        proxy
    }}
    track_file {{
        health
    }}
}}
"""


def _seconds(milliseconds: int) -> str:
    """Decimal seconds, without trailing zeros."""
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")
