"""Command line of the container."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from etcd_tools import bootstrap, maintenance, registry, snapshots
from etcd_tools.cluster import Cluster, disturbance_order
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials

DEFAULT_TLS = Path("/etc/etcd/tls/client")
ENDPOINTS = "ETCD_ENDPOINTS"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused("arguments", message)


def _report(text: str) -> None:
    print(f"etcd-tools: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="etcd_tools", description="Prepares, maintains and uses an etcd cluster.")
    parser.add_argument(
        "--endpoints",
        default=os.environ.get(ENDPOINTS, ""),
        help=f"addresses of the members, separated by commas (the variable {ENDPOINTS})",
    )
    parser.add_argument(
        "--tls",
        type=Path,
        default=DEFAULT_TLS,
        help="directory with ca.crt, tls.crt and tls.key (%(default)s)",
    )
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for one call (%(default)s)")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    start = commands.add_parser(
        "bootstrap", help="write a member's configuration; restore a snapshot if it is to"
    )
    start.add_argument("--name", required=True)
    start.add_argument("--template", type=Path, required=True)
    start.add_argument("--output", type=Path, required=True)
    start.add_argument("--snapshot", type=Path)
    start.add_argument("--sha256")

    take = commands.add_parser("snapshot", help="take a snapshot, check it, remove old ones")
    take.add_argument("--directory", type=Path, required=True)
    take.add_argument("--keep", type=int, default=28)

    check = commands.add_parser("verify", help="check a snapshot")
    check.add_argument("snapshot", type=Path)
    check.add_argument("--sha256", help="expected sum; else the one that was noted beside it")

    back = commands.add_parser(
        "restore", help="make a member's data directory from a snapshot that is verified"
    )
    back.add_argument("snapshot", type=Path)
    back.add_argument("--sha256", required=True)
    back.add_argument("--data-dir", type=Path, required=True)
    back.add_argument("--name", required=True)
    back.add_argument("--peer-url", required=True)
    back.add_argument("--initial-cluster", required=True)
    back.add_argument("--token", default="etcd-cluster")

    defragment = commands.add_parser("defragment", help="one member after the other, the leader last")
    defragment.add_argument("--free-percent", type=int, default=30)

    commands.add_parser("recover-space", help="after alarm NOSPACE: compact, defragment, take the alarm back")
    commands.add_parser("status", help="all members, in the order in which they may be restarted")
    commands.add_parser("order", help="names of the members in the order in which they may be restarted")

    may = commands.add_parser("may-restart", help="succeeds if restarting a member endangers nothing")
    may.add_argument("member")

    wait = commands.add_parser("wait", help="until all members are healthy")
    wait.add_argument("--seconds", type=float, default=600.0)

    change = commands.add_parser("replace", help="take a lost member out and an empty one in")
    change.add_argument("member")
    change.add_argument("--peer-url", help="where it will be, if it has been taken out already")
    change.add_argument("--seconds", type=float, default=600.0, help="for it to catch up (%(default)s)")

    keep = commands.add_parser("registry", help="register model servers while they are ready")
    keep.add_argument(
        "--server", action="append", required=True, help="model=http://host:port, for each model"
    )
    keep.add_argument("--ttl", type=int, default=15)
    keep.add_argument("--interval", type=float, default=5.0)
    keep.add_argument("--health-port", type=int, default=8080)

    commands.add_parser("servers", help="what is registered")
    return parser


def _cluster(options: argparse.Namespace) -> Cluster:
    endpoints = [item for item in options.endpoints.split(",") if item]
    return Cluster(endpoints, Credentials(options.tls), timeout=options.timeout)


def _bootstrap(options: argparse.Namespace) -> None:
    if (options.snapshot is None) != (options.sha256 is None):
        raise Refused("--snapshot", "goes with --sha256, and only with it")
    bootstrap.run(
        bootstrap.Bootstrap(options.template, options.output, options.name, options.snapshot, options.sha256),
        Credentials(options.tls),
        _report,
    )


def _snapshot(options: argparse.Namespace) -> None:
    if options.keep < 1:
        raise Refused("--keep", f"{options.keep}: keep at least one")
    taken = snapshots.take(_cluster(options), Credentials(options.tls), options.directory, options.keep)
    # The line to note somewhere else: it is what a restore asks for.
    print(f"{taken.sha256}  {taken.path.name}")


def _verify(options: argparse.Namespace) -> None:
    expected = options.sha256 or snapshots.noted_sum(options.snapshot)
    if expected is None:
        raise Refused(options.snapshot.name, "no sum was noted beside it; give it with --sha256")
    found = snapshots.verify(options.snapshot, expected)
    print(f"{found.sha256}  {found.path.name}")


def _restore(options: argparse.Namespace) -> None:
    snapshots.restore(
        snapshots.Restoration(
            options.snapshot,
            options.sha256,
            options.data_dir,
            options.name,
            options.peer_url,
            options.initial_cluster,
            options.token,
        )
    )
    _report(f"{options.data_dir}: restored from {options.snapshot.name}")


def _replace(options: argparse.Namespace) -> None:
    maintenance.replace(
        _cluster(options), options.member, _report, peer_url=options.peer_url, seconds=options.seconds
    )


def _status(options: argparse.Namespace) -> None:
    cluster = _cluster(options)
    health = cluster.health()
    print("\n".join(maintenance.lines(health, maintenance.alarms(cluster))))
    ill = [member.label for member in health.members if not health.healthy(member)]
    if ill:
        raise Refused(", ".join(ill), "not healthy")


def _order(options: argparse.Namespace) -> None:
    health = _cluster(options).health()
    print("\n".join(member.label for member in disturbance_order(health)))


def _may_restart(options: argparse.Namespace) -> None:
    maintenance.may_restart(_cluster(options).health(), options.member)


def _wait(options: argparse.Namespace) -> None:
    maintenance.wait_healthy(_cluster(options), options.seconds)


def _registry(options: argparse.Namespace) -> None:
    backends = tuple(registry.Backend.parse(text) for text in options.server)
    registrar = registry.Registrar(_cluster(options), backends, options.ttl, _report)
    vitals = registry.Vitals(stale_seconds=max(60.0, 4 * options.interval), clock=time.monotonic)
    vitals.last_round = time.monotonic()
    server = registry.serve_vitals(vitals, options.health_port)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    # Nothing is withdrawn at the end: the servers still serve, and the next process takes their entries over.
    registry.keep(registrar, vitals, options.interval, stop)
    server.shutdown()


def _defragment(options: argparse.Namespace) -> None:
    done = maintenance.defragment(_cluster(options), options.free_percent, _report)
    print(f"{done} members defragmented")


def _recover_space(options: argparse.Namespace) -> None:
    maintenance.recover_space(_cluster(options), _report)


def _servers(options: argparse.Namespace) -> None:
    print("\n".join(registry.table(registry.listed(_cluster(options)))))


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "bootstrap": _bootstrap,
    "snapshot": _snapshot,
    "verify": _verify,
    "restore": _restore,
    "defragment": _defragment,
    "recover-space": _recover_space,
    "status": _status,
    "order": _order,
    "may-restart": _may_restart,
    "wait": _wait,
    "replace": _replace,
    "registry": _registry,
    "servers": _servers,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 1 with one line that says what is wrong."""
    try:
        options = _parser().parse_args(arguments)
        _COMMANDS[options.command](options)
    except Refused as error:
        print(f"etcd-tools: refused: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
