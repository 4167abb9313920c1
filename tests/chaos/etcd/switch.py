"""The network between the namespaces: a process that carries packets from one to the other, or does not.

The kernel's netem is not everywhere; here delay, loss and partitions of one or both directions are a line
each. Packets are those of real TCP connections, so what is lost is retransmitted, and what is cut off is
silent.

    python switch.py 10.99.0.10=FD 10.99.0.11=FD …    commands on standard input, one JSON object a line
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import socket
import sys
import time
from typing import Any

_LARGEST = 1 << 17


def carry(ports: dict[bytes, int]) -> None:
    """Until standard input ends."""
    poll = select.epoll()
    for descriptor in ports.values():
        poll.register(descriptor, select.EPOLLIN)
    control = sys.stdin.fileno()
    poll.register(control, select.EPOLLIN)
    dropped: set[tuple[bytes, bytes]] = set()
    weather: dict[str, Any] = {}
    chance = random.Random(1)
    waiting: list[tuple[float, int, int, bytes]] = []
    sent = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else -1
        for descriptor, _ in poll.poll(timeout):
            if descriptor == control:
                line = sys.stdin.readline()
                if not line:
                    return
                command = json.loads(line)
                dropped = {(socket.inet_aton(a), socket.inet_aton(b)) for a, b in command["drop"]}
                weather = command
                chance = random.Random(command["seed"])
                print("done", flush=True)
                continue
            for _ in range(64):
                try:
                    packet = os.read(descriptor, _LARGEST)
                except BlockingIOError:
                    break
                # IPv4 only: the hosts have no other addresses, but the kernel announces itself over IPv6.
                target = ports.get(packet[16:20]) if packet[0] >> 4 == 4 else None
                if target is None or (packet[12:16], packet[16:20]) in dropped:
                    continue
                if weather.get("loss") and chance.random() < weather["loss"]:
                    continue
                if weather.get("delay"):
                    pause = weather["delay"] + chance.uniform(-1, 1) * weather["jitter"]
                    sent += 1
                    heapq.heappush(waiting, (time.monotonic() + pause, sent, target, packet))
                else:
                    _deliver(target, packet)
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(waiting)
            _deliver(target, packet)


def _deliver(descriptor: int, packet: bytes) -> None:
    try:
        os.write(descriptor, packet)
    except OSError:
        # A full queue or a host that is gone: lost, as on any network.
        return


if __name__ == "__main__":
    carry(
        {
            socket.inet_aton(address): int(descriptor)
            for address, _, descriptor in (item.partition("=") for item in sys.argv[1:])
        }
    )
