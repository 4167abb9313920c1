"""Command line of the container."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn

from audit_trail import keys, metrics, publish, records, seal
from audit_trail import verify as verification
from audit_trail.anomalies import Detector, Thresholds, inspect, parse_thresholds
from audit_trail.collect import Collector, print_line
from audit_trail.errors import Refused, Unavailable, Unreadable
from audit_trail.receive import RESERVE, Receiver
from audit_trail.serve import Certificates, Door, serve
from audit_trail.sources import READERS
from audit_trail.store import Store

ALTERED, REFUSED = 1, 2
_STALLED_SECONDS = 300
_CHECK_SECONDS = 5


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused("arguments", message)


def _report(text: str) -> None:
    print(f"audit-trail: {text}", file=sys.stderr, flush=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write a day as 2026-11-21") from None


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    known = [one.name for one in fields(records.Record)]
    if not equals or name not in known:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE with a name of {', '.join(known)}")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="audit_trail", description="Collects, seals and verifies audit records.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    def command(name: str, text: str, *, trail: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text)
        made.add_argument("--store", type=Path, required=True, help="folder of the trail")
        if trail:
            made.add_argument("--trail", required=True, help="name of the trail, which its seals carry")
        return made

    collect = command("collect", "read logs and write records")
    for source in READERS:
        collect.add_argument(f"--{source}", action="append", default=[], help="pattern of files")
    collect.add_argument("--thresholds", type=json.loads, default={}, help="of the rules, as JSON")
    collect.add_argument("--node", default=os.environ.get("NODE_NAME"))
    collect.add_argument("--interval", type=float, default=5.0, help="seconds between passes (%(default)s)")
    collect.add_argument("--port", type=int, help="serve metrics there")
    collect.add_argument("--print", action="store_true", help="also print each record, for a log shipper")
    collect.add_argument("--once", action="store_true", help="one pass, then end")

    receive = command("receive", "take records over HTTPS from who makes them")
    receive.add_argument("--listen", type=int, required=True, help="port for batches of records")
    receive.add_argument("--tls", type=Path, required=True, help="folder with tls.crt, tls.key and ca.crt")
    receive.add_argument("--client", required=True, help="DNS name in the certificate of who may send")
    receive.add_argument("--thresholds", type=json.loads, default={}, help="of the rules, as JSON")
    receive.add_argument("--node", default=os.environ.get("NODE_NAME"))
    receive.add_argument("--port", type=int, help="serve metrics there")
    receive.add_argument("--reserve", type=int, default=RESERVE, help="bytes to leave free (%(default)s)")
    receive.add_argument(
        "--print", action="store_true", help="also print what the rules raise, for a log shipper"
    )

    close = command("seal", "seal the days that are over", trail=True)
    close.add_argument("--key", type=Path, required=True, help="private key, PEM")
    close.add_argument("--make-key", type=Path, help="make the pair if there is none, with this public key")
    close.add_argument("--until", type=_day, help="newest day to seal; without it the last that is over")
    close.add_argument("--retention-days", type=int, help="remove records of sealed days that are older")

    check = command("verify", "compare the trail with its seals", trail=True)
    check.add_argument(
        "--public-key",
        type=Path,
        action="append",
        required=True,
        help="file, or folder of *.pem, in the order in which the keys have signed",
    )
    check.add_argument("--since", type=_day, help="day on which the trail is known to have begun")
    check.add_argument("--until", type=_day, help="newest day that has to be sealed")
    check.add_argument("--retention-days", type=int, help="records of older days may be gone")
    check.add_argument("--metrics", action="store_true", help="leave figures for Prometheus in the store")

    look = command("anomalies", "apply the rules to records that are there")
    look.add_argument("--since", type=_day, help="first day")
    look.add_argument("--thresholds", type=json.loads, default={}, help="of the rules, as JSON")

    show = command("records", "print the records that are there, one JSON object a line")
    show.add_argument("--since", type=_day, help="first day")
    show.add_argument("--until", type=_day, help="last day")
    show.add_argument(
        "--field",
        type=_field,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only those with this value, such as user=alice; several: all of them",
    )

    out = command("publish", "copy sealed days to a bucket", trail=True)
    out.add_argument("--to", required=True, help="s3://bucket/prefix or gs://bucket/prefix")
    out.add_argument("--region")
    out.add_argument("--endpoint", help="of a service that speaks the S3 API")

    make = commands.add_parser("keygen", help="make a pair of keys")
    make.add_argument("--private", type=Path, required=True)
    make.add_argument("--public", type=Path, required=True)

    commands.add_parser("schema", help="print the JSON Schema of a record")
    return parser


def _collect(options: argparse.Namespace) -> int:
    inputs = {source: getattr(options, source) for source in READERS if getattr(options, source)}
    if not inputs:
        raise Refused(
            "arguments", f"nothing to read; give one of {', '.join(f'--{name}' for name in READERS)}"
        )
    thresholds = parse_thresholds(options.thresholds) if options.thresholds else Thresholds()
    collector = Collector(
        Store(options.store),
        inputs,
        detector=Detector(thresholds),
        node=options.node,
        emit=print_line if options.print else None,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    began = time.time()
    if options.port is not None:

        def healthy() -> bool:
            return time.time() - (collector.last_pass or began) < _STALLED_SECONDS

        metrics.serve(options.port, collector.page, healthy)
    told: tuple[int, ...] = ()
    while True:
        collector.run_pass()
        figures = tuple(
            sum(one.values()) for one in (collector.records, collector.refused, collector.ignored)
        )
        if figures != told and not options.print:
            _report("{} records, {} lines refused, {} lines that tell of no access".format(*figures))
            told = figures
        if options.once or stop.wait(options.interval):
            return 0


def _receive(options: argparse.Namespace) -> int:
    receiver = Receiver(
        Store(options.store),
        thresholds=parse_thresholds(options.thresholds) if options.thresholds else None,
        node=options.node,
        reserve=options.reserve,
        emit=print_line if options.print else None,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    door = Door(options.listen, receiver, Certificates(options.tls), options.client)
    looked = time.time()
    if options.port is not None:
        metrics.serve(options.port, receiver.page, lambda: time.time() - looked < _STALLED_SECONDS)
    close = serve(door)
    told = ""
    while True:
        try:
            receiver.check()
            problem = ""
        except Unavailable as error:
            problem = str(error)
        if problem != told:
            _report(problem or "records can be written again")
        looked, told = time.time(), problem
        if stop.wait(_CHECK_SECONDS):
            close()
            return 0


def _seal(options: argparse.Namespace) -> int:
    store = Store(options.store)
    if options.make_key is not None and not options.key.exists():
        store.create()
        for path in (options.key, options.make_key):
            path.parent.mkdir(parents=True, exist_ok=True)
        _report(f"made key {keys.generate(options.key, options.make_key)}")
    key = keys.load_private(options.key)
    until = options.until or seal.last_day(datetime.now(UTC))
    if until > seal.last_day(datetime.now(UTC)):
        raise Refused(
            "--until", f"{until}: the day is not over; write {seal.last_day(datetime.now(UTC))} or earlier"
        )
    seal.seal_days(store, key, options.trail, until, _report, retention_days=options.retention_days)
    return 0


def _verify(options: argparse.Namespace) -> int:
    store, now = Store(options.store), datetime.now(UTC)
    if not store.root.is_dir():
        raise Refused(str(store.root), "no such folder")
    ring = keys.load_ring(options.public_key)
    verdict = verification.verify(
        store,
        ring,
        options.trail,
        # The last day is sealed some time after it is over; until then the one before has to be.
        options.until or seal.last_day(now - seal.GRACE * 5),
        since=options.since,
        retention_days=options.retention_days,
        progress=_report,
    )
    if options.metrics:
        verification.tell(store, verdict, now)
    for finding in verdict.findings:
        print(finding)
    told = f"{verdict.days} days, {verdict.records} records, {verdict.expired} days no longer kept"
    if verdict.whole:
        print(f"whole: {told}")
        return 0
    print(f"ALTERED: {len(verdict.findings)} findings; {told}")
    return ALTERED


def _anomalies(options: argparse.Namespace) -> int:
    store = Store(options.store)
    thresholds = parse_thresholds(options.thresholds) if options.thresholds else Thresholds()

    for anomaly in inspect(_kept(store, options.since), thresholds):
        print(anomaly.line().decode(), end="")
    return 0


def _records(options: argparse.Namespace) -> int:
    for record in _kept(Store(options.store), options.since, options.until):
        if all(str(getattr(record, name)) == value for name, value in options.field):
            print(record.line().decode(), end="")
    return 0


def _kept(store: Store, since: date | None, until: date | None = None) -> Iterator[records.Record]:
    """Records of these days, in the order of the trail; the last line of an open day may be half written."""
    for day in store.days("records", ".jsonl"):
        if (since is not None and day < since) or (until is not None and day > until):
            continue
        for number, line in enumerate(seal.lines_of(store.records(day)), 1):
            if not line.endswith(b"\n") and not store.seal(day).exists():
                break
            try:
                yield records.parse(line)
            except Unreadable as error:
                raise Refused(f"records/{day}.jsonl line {number}", f"{error}; run `verify`") from None


def _publish(options: argparse.Namespace) -> int:
    bucket = publish.bucket_of(options.to, options.trail, region=options.region, endpoint=options.endpoint)
    publish.publish(Store(options.store), bucket, _report)
    return 0


def _keygen(options: argparse.Namespace) -> int:
    print(keys.generate(options.private, options.public))
    return 0


def _schema(options: argparse.Namespace) -> int:
    print(json.dumps(records.schema(), indent=2))
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "collect": _collect,
    "receive": _receive,
    "seal": _seal,
    "verify": _verify,
    "anomalies": _anomalies,
    "records": _records,
    "publish": _publish,
    "keygen": _keygen,
    "schema": _schema,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    try:
        options = _parser().parse_args(arguments)
        return _COMMANDS[options.command](options)
    except Refused as error:
        print(f"audit-trail: refused: {error}", file=sys.stderr)
    except OSError as error:
        print(f"audit-trail: refused: {error.filename}: {error.strerror}", file=sys.stderr)
    return REFUSED
