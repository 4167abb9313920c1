"""What runs around keepalived and haproxy: a guard that takes the address away from a node whose keepalived
has ended, in whatever way, and a reload of haproxy for renewed certificates.

A node that keeps the address of a killed keepalived answers for it beside the next holder. keepalived holds a
lock (flock(2)) for as long as it lives; the kernel releases it at the very moment of its end, and the guard,
which waits for it, removes the address long before the others have missed three advertisements.
"""

from __future__ import annotations

from typing import Final

from components.virtual_ip.firewall import table_name
from components.virtual_ip.haproxy import TLS_FOLDER
from components.virtual_ip.keepalived import BUSYBOX, HEALTH_FILE, RUN_FOLDER, check_command
from components.virtual_ip.plan import VirtualIpPlan
from components.virtual_ip.timing import proxy_check_ms

MONITOR_HEARTBEAT: Final = "monitor-heartbeat"
"""Written anew at each look at the proxy; in the run folder."""
FLOCK: Final = "/usr/bin/flock"
KEEPALIVED: Final = "/usr/sbin/keepalived"
HAPROXY: Final = "/usr/sbin/haproxy"
NFT: Final = "/usr/sbin/nft"


def render_keepalived_start(
    plan: VirtualIpPlan, configuration: str, *, run_folder: str = RUN_FOLDER, keepalived: str = KEEPALIVED
) -> str:
    """Shell script that becomes keepalived, holding the lock; removes what a predecessor left.

    Its process ids too: in a container keepalived is process 1, so that after a kill it would find its own id
    in the file and believe that it runs already.
    """
    return f"""\
#!{BUSYBOX} sh
set -eu
exec 9>>{run_folder}/lock
{FLOCK} 9
{BUSYBOX} rm -f {run_folder}/keepalived.pid {run_folder}/vrrp.pid
{_remove(plan)} 2>/dev/null || true
exec {keepalived} --vrrp --dont-fork --log-console --use-file={configuration} \\
    --pid={run_folder}/keepalived.pid --vrrp_pid={run_folder}/vrrp.pid
"""


def render_guard(plan: VirtualIpPlan, *, run_folder: str = RUN_FOLDER) -> str:
    """Shell script that removes the address whenever nobody holds the lock; ends after keepalived has, and
    then takes the firewall's table away, too: the node is left as it was."""
    return f"""\
#!{BUSYBOX} sh
stopping=
trap 'stopping=1' TERM INT

remove_once_unguarded() {{
    {FLOCK} {run_folder}/lock {_remove(plan)} 2>/dev/null &
    waiter=$!
    # A signal interrupts wait; keepalived is to end first.
    while kill -0 "$waiter" 2>/dev/null; do wait "$waiter"; done
}}

until [ "$stopping" ]; do
    remove_once_unguarded
    {BUSYBOX} usleep 100000
done
remove_once_unguarded
{NFT} delete table inet {table_name(plan)} 2>/dev/null || true
"""


def render_monitor(plan: VirtualIpPlan, *, run_folder: str = RUN_FOLDER) -> str:
    """Shell script that tells keepalived, by a file, how this node's proxy is; it needs no privilege.

    The first process of a container has to ask for signals: without the trap the pod would take all of its
    grace period to end.
    """
    interval = proxy_check_ms(plan.settings.advert_interval_ms)
    return f"""\
#!{BUSYBOX} sh
trap 'exit 0' TERM INT
written=
while :; do
    if {" ".join(check_command(plan))} 2>/dev/null; then state=0; else state=-1; fi
    : >{run_folder}/{MONITOR_HEARTBEAT}
    if [ "$state" != "$written" ]; then
        echo "$state" >{run_folder}/{HEALTH_FILE} && written=$state
    fi
    {BUSYBOX} usleep {interval * 1000}
done
"""


def render_haproxy_start(
    configuration: str,
    *,
    run_folder: str = RUN_FOLDER,
    tls_folder: str = TLS_FOLDER,
    haproxy: str = HAPROXY,
) -> str:
    """Shell script that runs haproxy and has it read a renewed certificate; SIGTERM lets requests finish."""
    return f"""\
#!{BUSYBOX} sh
{BUSYBOX} touch {run_folder}/certificate-read
{haproxy} -W -db -f {configuration} &
proxy=$!
trap 'kill -USR1 "$proxy"' TERM INT
while kill -0 "$proxy" 2>/dev/null; do
    if [ {tls_folder}/tls.crt -nt {run_folder}/certificate-read ]; then
        {BUSYBOX} touch {run_folder}/certificate-read
        kill -USR2 "$proxy"
    fi
    # In the background, so that a signal is heard at once.
    {BUSYBOX} sleep 1 &
    wait $!
done
wait "$proxy"
"""


def _remove(plan: VirtualIpPlan) -> str:
    return f"{BUSYBOX} ip address del {plan.address} dev {plan.settings.interface}"
