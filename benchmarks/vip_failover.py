"""Virtual IP, end of the holder to next holder ÷ what VRRP allows, beside keepalived's own defaults.

Network namespaces and processes of the chaos tests; the times are those at which the kernels say that the
address was removed and added (netlink). Run as root:

    .toolchain/venv/bin/python -m benchmarks.vip_failover --rounds 20
"""

from __future__ import annotations

import argparse
import signal
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from components.virtual_ip.plan import VirtualIpPlan
from components.virtual_ip.timing import master_down_ms, skew_ms
from tests.chaos.virtual_ip.conftest import plan
from tests.chaos.virtual_ip.lab import Lab, Node, inside
from toolchain.images import virtual_ip

GOAL = 1.15
_RTMGRP_IPV4_IFADDR = 0x10
_RTM_NEWADDR = 20
_IFA_LOCAL = 2
# keepalived.conf(5): what holds where nothing is said; priority as the common example has it.
_DEFAULT_ADVERT_MS, _DEFAULT_VERSION = 1000, 2


class Arrivals:
    """Tells when, and on which node, the kernel has added the address."""

    def __init__(self, nodes: Sequence[Node], address: bytes) -> None:
        self._address = address
        self._sockets: dict[str, socket.socket] = {}
        for node in nodes:
            with inside(node.namespace):
                connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
                connection.bind((0, _RTMGRP_IPV4_IFADDR))
            connection.setblocking(False)
            self._sockets[node.member.name] = connection

    def forget(self) -> None:
        """Discard what has been told so far."""
        for name in self._sockets:
            self._added(name)

    def wait(self, seconds: float) -> tuple[str, float]:
        """The first node that gets the address, and when; by time.monotonic()."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for name in self._sockets:
                if self._added(name):
                    return name, time.monotonic()
            time.sleep(0.001)
        raise RuntimeError(f"nobody has taken the address within {seconds} s")

    def close(self) -> None:
        for connection in self._sockets.values():
            connection.close()

    def _added(self, name: str) -> bool:
        found = False
        while True:
            try:
                data = self._sockets[name].recv(1 << 16)
            except BlockingIOError:
                return found
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _RTM_NEWADDR and self._address in data[24:length]:
                    found = True
                data = data[(length + 3) & ~3 :]


@dataclass
class Case:
    """A way for a holder to end, and what the protocol allows until the next one."""

    title: str
    number: signal.Signals
    allowed_ms: Callable[[int], float]
    """By the priority of the node that takes over."""


def main() -> None:
    """Measure and print; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each case (default %(default)s)")
    parser.add_argument("--default-rounds", type=int, default=10, help="with keepalived's defaults")
    options = parser.parse_args()
    ours, defaults = plan(), plan(advertIntervalMs=_DEFAULT_ADVERT_MS, vrrpVersion=_DEFAULT_VERSION)
    met = True
    for title, planned, rounds in (
        ("settings' defaults", ours, options.rounds),
        ("keepalived's defaults", defaults, options.default_rounds),
    ):
        advert, version = planned.settings.advert_interval_ms, planned.settings.vrrp_version
        print(f"{title}: VRRP version {version}, an advertisement every {advert} ms", flush=True)

        def crash(priority: int, advert: int = advert, version: int = version) -> float:
            return master_down_ms(priority, advert, 2 if version == 2 else 3)

        def graceful(priority: int, advert: int = advert, version: int = version) -> float:
            return skew_ms(priority, advert, 2 if version == 2 else 3)

        for case in (
            Case("crash (SIGKILL)", signal.SIGKILL, crash),
            Case("stop (SIGTERM)", signal.SIGTERM, graceful),
        ):
            met &= measure(planned, case, rounds) or planned is defaults
    sys.exit(0 if met else 1)


def measure(planned: VirtualIpPlan, case: Case, rounds: int) -> bool:
    """Print the times of one case; whether the median ratio is within the goal."""
    seconds, ratios = [], []
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(planned, virtual_ip.root(), ("192.168.1.253:8000",)))
        holder = lab.settle()
        arrivals = Arrivals(lab.nodes, planned.address.ip.packed)
        stack.callback(arrivals.close)
        for _ in range(rounds):
            arrivals.forget()
            ended = time.monotonic()
            holder.processes["keepalived"].send(case.number)
            name, taken = arrivals.wait(30)
            successor = next(node for node in lab.nodes if node.member.name == name)
            seconds.append(taken - ended)
            ratios.append((taken - ended) * 1000 / case.allowed_ms(successor.member.priority))
            holder.processes["keepalived"].end()
            holder.start_keepalived()
            # Until the node that came back takes part again.
            time.sleep(2.5)
            holder = successor
        most = max(len(sample.holders) for sample in lab.samples)
    ratio = statistics.median(ratios)
    print(
        f"  {case.title}: median {statistics.median(seconds):.3f} s (from {min(seconds):.3f} to "
        f"{max(seconds):.3f}) of {rounds}; ÷ what VRRP allows = {ratio:.2f} (median); at most "
        f"{most} holder in {len(lab.samples)} samples",
        flush=True,
    )
    return ratio <= GOAL


if __name__ == "__main__":
    main()
