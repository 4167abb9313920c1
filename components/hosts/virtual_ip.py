"""The virtual IP of the control plane as services of the machine: it must be there before Kubernetes is.

The same renderings as in the cluster; what the guard is there, systemd is here: it removes the address when
keepalived has ended, however that was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from components.hosts.plan import Host, HostsPlan
from components.virtual_ip.firewall import render_firewall, table_name
from components.virtual_ip.haproxy import render_haproxy
from components.virtual_ip.keepalived import BUSYBOX, RUN_FOLDER, render_keepalived
from components.virtual_ip.plan import Member, VirtualIpPlan
from components.virtual_ip.scripts import render_monitor
from components.virtual_ip.settings import KubernetesApi

FOLDER: Final = "/etc/virtual-ip"
SCRIPT_USER: Final = "keepalived_script"
PACKAGES: Final = ("keepalived", "haproxy", "busybox", "nftables")
SERVICES: Final = ("firewall", "haproxy", "monitor", "keepalived")
"""In the order in which they start."""


def files(plan: HostsPlan, host: Host) -> Iterator[tuple[str, str, str]]:
    """Path, content and mode of each file."""
    virtual_ip = plan.virtual_ip
    member = next(one for one in virtual_ip.members if one.name == host.name)
    frontend = virtual_ip.settings.frontend
    assert isinstance(frontend, KubernetesApi)
    servers = [f"{one.address}:{frontend.server_port}" for one in virtual_ip.members]
    yield f"{FOLDER}/keepalived.conf", render_keepalived(virtual_ip, member, script_user=SCRIPT_USER), "0644"
    yield f"{FOLDER}/haproxy.cfg", render_haproxy(virtual_ip, member, servers), "0644"
    yield f"{FOLDER}/vrrp.nft", render_firewall(virtual_ip, member), "0644"
    yield f"{FOLDER}/monitor.sh", render_monitor(virtual_ip), "0755"
    yield "/etc/tmpfiles.d/virtual-ip.conf", f"d {RUN_FOLDER} 0755 {SCRIPT_USER} {SCRIPT_USER}\n", "0644"
    for name, content in _units(virtual_ip, member).items():
        yield f"/etc/systemd/system/virtual-ip-{name}.service", content, "0644"


def commands(plan: HostsPlan) -> list[str]:
    """Shell commands that start the services."""
    units = " ".join(f"virtual-ip-{name}.service" for name in SERVICES)
    return [
        f"id {SCRIPT_USER} >/dev/null 2>&1 || useradd --system --no-create-home "
        f"--shell /usr/sbin/nologin {SCRIPT_USER}",
        "systemd-tmpfiles --create /etc/tmpfiles.d/virtual-ip.conf",
        # The distribution's own services would run a second time what is here.
        "systemctl disable --now haproxy.service keepalived.service || true",
        f"systemctl enable --now {units}",
    ]


def _units(plan: VirtualIpPlan, member: Member) -> dict[str, str]:
    remove = f"-{BUSYBOX} ip address del {plan.address} dev {plan.settings.interface}"
    sandbox = "NoNewPrivileges=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\n"
    return {
        "firewall": f"""\
[Unit]
Description=Virtual IP: VRRP from peers only
Before=virtual-ip-keepalived.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FOLDER}/vrrp.nft
ExecStop=/usr/sbin/nft delete table inet {table_name(plan)}

[Install]
WantedBy=multi-user.target
""",
        "haproxy": f"""\
[Unit]
Description=Virtual IP: proxy to the API servers
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
DynamicUser=yes
ExecStartPre=/usr/sbin/haproxy -c -q -f {FOLDER}/haproxy.cfg
ExecStart=/usr/sbin/haproxy -Ws -f {FOLDER}/haproxy.cfg
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
LimitNOFILE=65536
Restart=always
RestartSec=1
CapabilityBoundingSet=
{sandbox}
[Install]
WantedBy=multi-user.target
""",
        "monitor": f"""\
[Unit]
Description=Virtual IP: tells keepalived how the proxy is
After=virtual-ip-haproxy.service

[Service]
User={SCRIPT_USER}
ExecStart={BUSYBOX} sh {FOLDER}/monitor.sh
Restart=always
RestartSec=1
CapabilityBoundingSet=
ReadWritePaths={RUN_FOLDER}
{sandbox}
[Install]
WantedBy=multi-user.target
""",
        "keepalived": f"""\
[Unit]
Description=Virtual IP {plan.address.ip} of {member.name}
Requires=virtual-ip-firewall.service
After=network-online.target virtual-ip-firewall.service virtual-ip-haproxy.service
Wants=network-online.target

[Service]
Type=simple
# A predecessor that was killed leaves the address behind.
ExecStartPre={remove}
ExecStart=/usr/sbin/keepalived --vrrp --dont-fork --log-console --use-file={FOLDER}/keepalived.conf \\
    --pid={RUN_FOLDER}/keepalived.pid --vrrp_pid={RUN_FOLDER}/vrrp.pid
ExecStopPost={remove}
Restart=always
RestartSec=1
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_DAC_OVERRIDE
ReadWritePaths={RUN_FOLDER}
{sandbox}
[Install]
WantedBy=multi-user.target
""",
    }
