"""Command line of the container."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import weights
from weights.errors import Refused
from weights.fetch import fetch
from weights.progress import Counter, Progress, log, size
from weights.redact import describe, redact
from weights.sources import parse_source
from weights.store import Retention, Store, digests
from weights.sums import SUBJECT, Manifest, parse
from weights.verify import verify_tree

TERMINATION_LOG = Path("/dev/termination-log")
"""What the kubelet shows as the container's termination message: `terminationMessagePath`'s default."""
_LONGEST_TERMINATION_MESSAGE = 4096  # bytes, the kubelet's limit


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused("arguments", message)


def main(arguments: Sequence[str] | None = None, termination_log: Path = TERMINATION_LOG) -> int:
    """Runs one command.

    Args:
        arguments: the command line, the process's own by default.
        termination_log: also receives the reason of a failure, if it exists.

    Returns:
        0 when the version is published or verified; 1 otherwise, after one line on stderr that says why.
    """
    command = "arguments"
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def interrupted(number: int, frame: FrameType | None) -> None:
        # At once: any moment is safe, and as process 1 of a container nothing else would end us.
        name = signal.Signals(number).name
        _report(Refused(command, f"interrupted by {name}; run again to go on"), termination_log)
        os._exit(1)

    for number in previous:
        signal.signal(number, interrupted)
    try:
        options = _parser().parse_args(arguments)
        command = str(options.command)
        manifest = _read_manifest(options.sums)
        if command == "fetch":
            _fetch(options, manifest)
        else:
            _verify(options, manifest)
    except Refused as refusal:
        _report(refusal, termination_log)
        return 1
    except Exception as error:
        # Fail closed, in one line; a trace would say less to whoever reads the Job, and could hold a secret.
        _report(Refused(command, describe(error)), termination_log)
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="weights", description=weights.__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)

    command = commands.add_parser("fetch", help="download, verify and publish one version")
    command.add_argument(
        "--source-json", required=True, help='{"kind": "s3", "uri": "s3://bucket/prefix"}, …'
    )
    command.add_argument("--sums", required=True, type=Path, help="the pinned SHA256SUMS")
    command.add_argument("--store", required=True, type=Path, help="directory of the volume")
    command.add_argument("--name", required=True, help="name of the model: the directory below the store")
    command.add_argument(
        "--workers", type=_positive, default=4, help="files downloaded at once (%(default)s)"
    )
    command.add_argument(
        "--keep", type=_at_least_two, default=2, help="newest versions that stay (%(default)s)"
    )
    command.add_argument(
        "--superseded-hours",
        type=_not_negative,
        default=24.0,
        help="an older version stays so long after the next one was published (%(default)s)",
    )
    command.add_argument("--retain", action="append", default=[], help="digest that stays; repeatable")
    command.add_argument(
        "--lock-wait-seconds",
        type=_not_negative,
        default=60.0,
        help="how long to wait for another fetch of the same version (%(default)s)",
    )

    command = commands.add_parser("verify", help="check a published version again")
    command.add_argument("--sums", required=True, type=Path, help="the pinned SHA256SUMS")
    command.add_argument("--path", required=True, type=Path, help="directory of the version")
    command.add_argument("--workers", type=_positive, help="files hashed at once (default: the processors)")
    return parser


def _read_manifest(path: Path) -> Manifest:
    try:
        return parse(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(SUBJECT, f"is not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise Refused(SUBJECT, f"cannot read {path}: {error.strerror}") from None


def _fetch(options: argparse.Namespace, manifest: Manifest) -> None:
    fetch(
        settings=parse_source(options.source_json),
        manifest=manifest,
        store=Store(options.store, options.name),
        workers=options.workers,
        retention=Retention(options.keep, options.superseded_hours, digests(options.retain)),
        lock_wait_seconds=options.lock_wait_seconds,
    )


def _verify(options: argparse.Namespace, manifest: Manifest) -> None:
    started, hashed = time.monotonic(), Counter()
    with Progress("verified", None, hashed.value):
        total = verify_tree(options.path, manifest, options.workers, hashed.add)
    seconds = max(time.monotonic() - started, 1e-9)
    speed = f"{total / seconds / 1e6:.1f} MB/s"
    log(f"verified {len(manifest.files)} files, {size(total)} in {seconds:.1f} s, {speed}")


def _report(refusal: Refused, termination_log: Path) -> None:
    """The reason on stderr, as its last line, and to the termination log if there is one."""
    line = redact(f"weights: refused: {refusal.subject}: {refusal.reason}")
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        descriptor = os.open(termination_log, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)  # never created
        try:
            os.write(descriptor, line.encode()[:_LONGEST_TERMINATION_MESSAGE])
        finally:
            os.close(descriptor)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _at_least_two(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("must be at least 2: the new version and the one being served")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must not be negative")
    return number
