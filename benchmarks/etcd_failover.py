"""How long writes pause when etcd's leader is killed: kill -9 → next acknowledged write, ÷ election timeout.

Three real members with the component's own configuration in network namespaces, and a client on a host of its
own that writes without pause. In the same run, in alternating rounds, the same with nothing set but addresses
and certificates. Raft cannot be much faster: followers wait for one to two election timeouts, chosen at
random, before they campaign. Run as root on Linux:

    .toolchain/venv/bin/python -m benchmarks.etcd_failover [--rounds 20]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

# The tools that prepare members live beside their image's other files.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps" / "etcd"))

from tests.chaos.etcd.clusters import Binaries, EtcdMember, EtcdUnderTest, requirements
from toolchain import golang

GOAL = 1.5
_ATTEMPT_SECONDS = 0.1
"""Clients give a write up after a tenth of the election timeout and ask the next member."""


_NEEDED = {
    "name",
    "data-dir",
    "listen-peer-urls",
    "listen-client-urls",
    "initial-cluster",
    "initial-cluster-token",
    "initial-cluster-state",
    "initial-advertise-peer-urls",
    "advertise-client-urls",
    "client-transport-security",
    "peer-transport-security",
}


class EtcdDefaults(EtcdUnderTest):
    """The same three hosts with nothing set but addresses and certificates."""

    def configured(self, member: EtcdMember) -> None:
        """Leave what etcd needs to find the others; everything else is etcd's own default."""
        path = member.root / "etcd.json"
        written = json.loads(path.read_text())
        kept = {key: value for key, value in written.items() if key in _NEEDED}
        path.write_text(json.dumps(kept))


def failover(cluster: EtcdUnderTest, round_number: int) -> float:
    """Seconds from the leader's end to the next acknowledged write."""
    with cluster.writer(
        f"failover-{round_number}", attempt_seconds=_ATTEMPT_SECONDS, pause_seconds=0.002
    ) as writer:
        writer.wait_for(50, 30.0)
        leader = cluster.leader()
        writer.wait_for(5, 10.0)
        killed = time.monotonic()
        leader.kill()
        writer.wait_for(1, 30.0)
        # A write that was under way may still have been answered by the dead.
        time.sleep(0.3)
        writer.wait_for(1, 30.0)
    after = [item.at for item in writer.acknowledged if item.at > killed]
    pauses = [b - a for a, b in itertools.pairwise([killed, *after])]
    assert pauses
    return max(pauses)


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="kills of each (default %(default)s)")
    rounds = parser.parse_args().rounds
    reason = requirements()
    if reason is not None:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    binaries = Binaries(**golang.ensure_binaries("etcd", "etcdctl", "etcdutl", link=False))
    with tempfile.TemporaryDirectory() as scratch:
        ours = EtcdUnderTest(Path(scratch) / "ours", binaries)
        defaults = EtcdDefaults(Path(scratch) / "defaults", binaries)
        try:
            return _measure(ours, defaults, rounds)
        finally:
            ours.close()
            defaults.close()


def _measure(ours: EtcdUnderTest, defaults: EtcdDefaults, rounds: int) -> int:
    contenders = {"the platform's configuration": ours, "etcd's defaults": defaults}
    for cluster in contenders.values():
        cluster.start()
    pauses: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, cluster in contenders.items():
            pauses[name].append(failover(cluster, number))
            cluster.heal()
    ratios = {}
    for name, cluster in contenders.items():
        timeout = cluster.plan.settings.election.timeout_milliseconds / 1000
        ratios[name] = statistics.median(pauses[name]) / timeout
        print(
            f"{name:30} median {statistics.median(pauses[name]):.2f} s "
            f"({min(pauses[name]):.2f} to {max(pauses[name]):.2f} s) ÷ election timeout {timeout:g} s "
            f"= {ratios[name]:.2f}, {rounds} kills"
        )
    met = ratios["the platform's configuration"] <= GOAL
    print(f"goal: at most {GOAL}: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
