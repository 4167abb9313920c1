"""`kubectl get … -o json | python -m stacks.connectivity`: who can reach whom in a cluster.

For all of it: `kubectl get networkpolicy,namespace,pod,deployment,service -A -o json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from stacks.connectivity.cluster import Cluster
from stacks.connectivity.matrix import rows, why
from stacks.connectivity.policies import PROTOCOLS
from stacks.connectivity.surroundings import Surroundings


def main(argv: Sequence[str] | None = None) -> int:
    """Print every row, or the answer for one port; status 1 if that one is denied."""
    parser = argparse.ArgumentParser(prog="python -m stacks.connectivity", description=__doc__)
    parser.add_argument("--why", nargs=3, metavar=("SOURCE", "TARGET", "PORT"), help="explain one answer")
    parser.add_argument("--protocol", default="TCP", choices=PROTOCOLS, help="of --why")
    parser.add_argument("--pods", action="append", default=[], metavar="CIDR", help="network of the pods")
    parser.add_argument("--nodes", action="append", default=[], metavar="CIDR", help="network of the nodes")
    arguments = parser.parse_args(argv)
    try:
        around = Surroundings(pods=tuple(arguments.pods), nodes=tuple(arguments.nodes))
        cluster = Cluster([json.load(sys.stdin)], around)
        if arguments.why is None:
            for row in rows(cluster):
                partly = " (part)" if row.partly else ""
                print(f"{row.source} -> {row.target}: {row.protocol} {row.ports}{partly}")
            return 0
        source, target = (cluster.find(name) for name in arguments.why[:2])
        port = int(arguments.why[2])
    except (LookupError, ValueError) as error:
        parser.error(str(error))
    print(why(cluster, source, target, port, arguments.protocol))
    return 0 if cluster.decide(source, target, port, arguments.protocol).allowed else 1


if __name__ == "__main__":
    raise SystemExit(main())
