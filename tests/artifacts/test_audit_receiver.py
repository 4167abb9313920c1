"""The audit trail's receiver as a process, sent what Logstash would send.

Logstash cannot be run here. What it would send is made of lines that vLLM and uvicorn have written, by the
stand-in that follows the pipelines' own text (`logstash_filters`), in the form of its output `http`, format
`json_batch`: an array of whole events, 125 at most, over TLS with a certificate, again and again until it is
answered. `@version` comes back to each event from Logstash's disk queue.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_trail import seal, verify
from audit_trail.keys import Ring, generate, load_ring
from audit_trail.publish import bucket_of, publish
from audit_trail.receive import BODY
from audit_trail.records import Record, parse
from audit_trail.store import Store
from components.audit.plan import receiver_host, receiver_url
from components.common.names import AGENTS_NAMESPACE
from components.logging.pipelines import logstash
from components.logging.pipelines.access import MODEL, AccessLog
from components.logging.plan import trail_client
from tests.artifacts.logstash_filters import Event, filters
from tests.artifacts.metric_pages import FOLDER, cut, load
from tests.artifacts.test_log_access_records import event
from tests.artifacts.test_log_pipelines import recorded
from tests.chaos.etcd.pki import Authority
from tests.harness.buckets import MOTO, assert_locked, newest_version, registered_buckets
from tests.harness.commands import run
from tests.unit.object_storage.examples import ACCOUNT, plan, s3_graph
from toolchain import paths

pytestmark = MOTO

VLLM: Final = AccessLog(MODEL, "autoglm", "vllm")
HOST: Final = receiver_host(AGENTS_NAMESPACE)
CLIENT: Final = trail_client("logging")
TRAIL: Final = "audit-collector-0"
BATCH: Final = logstash.TRAIL_BATCH
CLOSED: Final = datetime.now(UTC).date() - timedelta(days=2)
"""Over whatever the hour, with what comes after midnight."""
AUDIT: Final = [sys.executable, "-m", "audit_trail"]
RETRYABLE: Final = {403, 404, 408, 429, 500, 502, 503, 504}
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(paths.ROOT / "apps" / "audit")}


def sent(count: int, day: date = CLOSED) -> list[dict[str, Any]]:
    """Events that come out of the pipelines for so many requests of a day, a second apart."""
    pods = filters(logstash.pods("default", ("node-agents", "collector"), (VLLM,), trail=True))
    trail = filters(logstash.trail(receiver_url(AGENTS_NAMESPACE)))
    lines = [line for line in recorded("uvicorn-access") if '"POST ' in line]
    found: list[Event] = []
    for number in range(count):
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=number)
        after = pods(event(VLLM, lines[number % len(lines)], moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
        for one in after:
            if one["data_stream"]["dataset"] == "audit":
                found += trail(one)
    assert len(found) == count
    return [wire(one) for one in found]


def wire(found: Event) -> dict[str, Any]:
    """What is in the body: `to_hash` of an event that has been in a disk queue."""
    values = {key: value for key, value in found.items() if key != "@metadata"}
    moment: datetime = values["@timestamp"]
    return {
        **values,
        "@timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "@version": "1",
    }


def batches(events: Sequence[dict[str, Any]], size: int = BATCH) -> list[bytes]:
    return [json.dumps(events[at : at + size]).encode() for at in range(0, len(events), size)]


def are_written(root: Path, expected: set[str]) -> bool:
    return expected <= set(ids(root))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return sent(2_000)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("internal-ca")


@dataclass
class Sender:
    """Logstash's output: one certificate, and patience."""

    port: int
    context: ssl.SSLContext
    answers: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def once(self, body: bytes, path: str = "/records", **headers: str) -> tuple[int, str]:
        """One request on a connection of its own."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        with self.context.wrap_socket(raw, server_hostname=HOST) as secured:
            connection = http.client.HTTPConnection(HOST)
            connection.sock = secured
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    @contextmanager
    def sent(self, body: bytes, *, lacking: int = 0) -> Iterator[None]:
        """A request whose answer nobody reads, perhaps without its end."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        with self.context.wrap_socket(raw, server_hostname=HOST) as secured:
            head = f"POST /records HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            secured.sendall(head.encode() + body[: len(body) - lacking])
            yield

    def until_answered(self, body: bytes) -> dict[str, int]:
        """Again and again, as the output does it; on a status that is not to be retried it gives up."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, told = self.once(body)
            except (OSError, http.client.HTTPException):
                self.broken += 1
            else:
                self.answers[status] += 1
                if status == 200:
                    outcome: dict[str, int] = json.loads(told)
                    return outcome
                assert status in RETRYABLE, (status, told)
            time.sleep(0.02)
        raise AssertionError("not answered within a minute")


def client_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def plainly(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/records", body)
    connection.getresponse()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass
class Process:
    """A receiver that may be killed and started again on its volume."""

    root: Path
    tls: Path
    prefix: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.running = subprocess.Popen(
            [
                *self.prefix,
                *AUDIT,
                "receive",
                f"--store={self.root}",
                f"--listen={self.port}",
                f"--tls={self.tls}",
                f"--client={CLIENT}",
                f"--port={self.metrics}",
                "--node=node-1",
                *self.options,
            ],
            env=ENVIRONMENT,
            start_new_session=True,
        )

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        return self.running.wait(20)

    def figures(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=10)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


@pytest.fixture
def certificates(authority: Authority, tmp_path: Path) -> Callable[..., Path]:
    """A folder as cert-manager's Secret of this name."""

    def made(
        name: str, *names: str, usage: str = "client auth", by: Authority = authority, **more: Any
    ) -> Path:
        by.issue(tmp_path / name, name, usages=(usage,), dns_names=names, **more)
        return tmp_path / name

    return made


@pytest.fixture
def process(certificates: Callable[..., Path], tmp_path: Path) -> Iterator[Process]:
    root = tmp_path / "trail"
    root.mkdir()
    made = Process(root, certificates("server", HOST, usage="server auth"))
    yield made
    if made.running is not None and made.running.poll() is None:
        made.kill()


@pytest.fixture
def sender(process: Process, certificates: Callable[..., Path]) -> Sender:
    return Sender(process.port, client_context(certificates("logstash", CLIENT)))


def trail(root: Path) -> list[Record]:
    store = Store(root)
    return [
        parse(line)
        for day in store.days("records", ".jsonl")
        for line in store.records(day).read_bytes().splitlines(keepends=True)
    ]


def ids(root: Path) -> list[str]:
    """Of accesses: many of them are denied, and a rule raises that."""
    return [record.id for record in trail(root) if record.source == MODEL]


@pytest.fixture
def s3() -> Iterator[Any]:
    with registered_buckets(s3_graph(plan())[0], ACCOUNT.region) as client:
        yield client


def test_killed_again_and_again_nothing_is_lost_or_doubled_and_the_day_is_sealed_verified_and_published(
    process: Process, sender: Sender, events: list[dict[str, Any]], tmp_path: Path, s3: Any
) -> None:
    process.start()
    sender.until_answered(json.dumps(events[:1]).encode())
    answered: set[str] = {events[0]["id"]}
    totals: Counter[str] = Counter()
    moments, kills = random.Random(7), 0
    for number, body in enumerate(batches(events, 25)):
        expected = {one["id"] for one in json.loads(body)}
        if number % 5 == 4:
            with sender.sent(body):
                if number == 4:
                    # Written, and killed before the sender reads that it is.
                    eventually(partial(are_written, process.root, expected))
                else:
                    time.sleep(moments.uniform(0, 0.03))
                assert process.kill() == -signal.SIGKILL
            kills += 1
            # What was answered is on disk, whatever else is.
            assert answered <= set(ids(process.root))
            process.start()
        totals.update(sender.until_answered(body))
        answered |= expected
    assert kills == 16
    assert sender.broken, "no request met a receiver that was down"
    assert totals["known"] > 25, "nothing was written whose answer was lost"

    written = ids(process.root)
    assert sorted(written) == sorted(one["id"] for one in events)
    assert totals["recorded"] + totals["known"] == len(events)
    assert len(trail(process.root)) == len({record.id for record in trail(process.root)})
    # All of it comes again, as from a queue that was not acknowledged.
    for body in batches(events):
        assert sender.until_answered(body) == {"recorded": 0, "known": len(json.loads(body)), "refused": 0}
    assert ids(process.root) == written
    print(f"{kills} kills, {sender.broken} broken requests, {totals['known']} known of {len(events)}")
    process.kill(signal.SIGTERM)

    # The Jobs, as they are run.
    generate(tmp_path / "private.pem", tmp_path / "public.pem")
    of_trail = [f"--store={process.root}", f"--trail={TRAIL}"]
    count = sum(record.day == CLOSED for record in trail(process.root))
    run(
        [*AUDIT, "seal", *of_trail, f"--key={tmp_path}/private.pem", f"--until={CLOSED}"], env=ENVIRONMENT
    ).succeeded()
    told = run(
        [*AUDIT, "verify", *of_trail, f"--public-key={tmp_path}/public.pem", f"--until={CLOSED}"],
        env=ENVIRONMENT,
    ).succeeded()
    assert f"whole: 1 days, {count} records" in told.stdout
    bucket = plan().audit.name
    publish(Store(process.root), bucket_of(f"s3://{bucket}/trail", TRAIL, region=ACCOUNT.region), print)
    copy = Store(tmp_path / "copy")
    for one in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        path = copy.root / one["Key"].removeprefix(f"trail/{TRAIL}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read())
    verdict = verify.verify(copy, load_ring([tmp_path / "public.pem"]), TRAIL, CLOSED)
    assert (verdict.whole, verdict.days, verdict.records) == (True, 1, count)
    assert_locked(s3, newest_version(s3, bucket, f"trail/{TRAIL}/records/{CLOSED}.jsonl"), 400)
    # A record that comes after all that goes to the day that is open.
    process.start()
    (late,) = sent(2_001)[-1:]
    assert sender.until_answered(json.dumps([*events[:5], late]).encode()) == {
        "recorded": 1,
        "known": 5,
        "refused": 0,
    }
    assert verify.verify(Store(process.root), load_ring([tmp_path / "public.pem"]), TRAIL, CLOSED).whole


def test_a_record_is_the_one_that_elasticsearch_has(
    process: Process, sender: Sender, events: list[Any], tmp_path: Path
) -> None:
    process.start()
    sender.until_answered(json.dumps(events[:3]).encode())
    lines = Store(process.root).records(CLOSED).read_bytes().splitlines()
    expected = [{key: value for key, value in one.items() if key[0] != "@"} for one in events[:3]]
    assert [json.loads(line) for line in lines] == expected
    page = process.figures()
    assert 'audit_records_total{source="model"} 3\n' in page
    assert 'audit_received_batches_total{code="200"} 1\n' in page
    assert "audit_last_pass_timestamp_seconds " in page
    # What rules on metrics are checked against.
    kept = tmp_path / "audit-collector.prom"
    kept.write_text(cut(page, "this process"))
    recorded_page = load(FOLDER / "audit-collector.receiver.prom")
    for name, family in load(kept).families.items():
        assert recorded_page.families.get(name) == family, f"{name}: record the page anew"


def disk(root: Path, size: str) -> list[str]:
    """What runs a program with a small disk of its own at a folder."""
    wrapper = ["unshare", *(() if os.geteuid() == 0 else ("-r",)), "-m", "sh", "-c"]
    wrapper += [f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"', str(root)]
    if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        pytest.skip("no namespace of mounts can be had here, and without one no disk to fill")
    return wrapper


@pytest.mark.parametrize("reserve", [0, 256 << 10])
def test_a_full_disk_is_answered_503_and_what_was_kept_back_comes_when_there_is_room(
    process: Process, sender: Sender, events: list[dict[str, Any]], reserve: int
) -> None:
    process.prefix, process.options = disk(process.root, "2m"), [f"--reserve={reserve}"]
    process.start()
    assert process.running is not None
    first, second, third = batches(events)[:3]
    sender.until_answered(first)
    inside = Path(f"/proc/{process.running.pid}/root{process.root}")
    filler = inside / "filler"
    with filler.open("wb", buffering=0) as file:
        left = os.statvfs(inside)
        for _ in range(left.f_bavail - (0 if reserve == 0 else (reserve >> 12) - 4)):
            file.write(b"x" * 4096)
    status, told = sender.once(second)
    assert status == 503, told
    assert ("No space left" if reserve == 0 else "bytes are free, and 262144 are left to the seals") in told
    assert sender.once(second)[0] == 503
    assert 'audit_received_batches_total{code="503"} 2\n' in process.figures()
    filler.unlink()
    assert sender.until_answered(second)["recorded"] == BATCH
    assert sender.until_answered(third)["recorded"] == BATCH
    assert sender.until_answered(first)["known"] == BATCH
    assert sorted(ids(inside)) == sorted(one["id"] for one in events[: 3 * BATCH])


def test_a_volume_that_refuses_to_be_written_is_answered_503(
    process: Process, sender: Sender, events: list[dict[str, Any]]
) -> None:
    """No file may become larger than a limit; a part of the batch is written before it is met."""
    size = len(json.dumps(events[:BATCH]))
    process.prefix = ["prlimit", f"--fsize={size * 3}"]
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not there")
    process.start()
    answers = [sender.once(body) if sender.until_answered(b"[7]") else None for body in batches(events)[:8]]
    statuses = [answer[0] for answer in answers if answer is not None]
    assert statuses[0] == 200
    assert 503 in statuses
    process.kill()
    process.prefix = []
    process.start()
    for body in batches(events)[:8]:
        sender.until_answered(body)
    assert sorted(ids(process.root)) == sorted(one["id"] for one in events[: 8 * BATCH])


def test_what_is_too_large_is_refused_with_413_unread_and_noted(process: Process, sender: Sender) -> None:
    process.start()
    sender.until_answered(b"[7]")
    status, told = sender.once(b"", **{"Content-Length": str(BODY + 1)})
    assert (status, told) == (413, f"{BODY + 1} bytes; a batch has {BODY} at most\n")
    # A client that is still sending sees the answer, too.
    assert sender.once(b"x" * (BODY + 1))[0] == 413
    status, told = sender.once(b"{")
    assert (status, told) == (400, "no JSON\n")
    assert sender.once(b"[]", path="/other")[0] == 404
    (folder,) = (process.root / "refused").iterdir()
    reasons = [json.loads(line)["reason"] for line in folder.read_text().splitlines()]
    too_large = f"{BODY + 1} bytes; a batch has {BODY} at most"
    assert reasons == ["no object", too_large, too_large, "no JSON"]


def test_a_batch_that_breaks_off_is_no_batch(process: Process, sender: Sender, events: list[Any]) -> None:
    process.start()
    (body,) = batches(events[:3])
    sender.until_answered(b"[7]")
    with sender.sent(body, lacking=40):
        pass
    assert sender.until_answered(body) == {"recorded": 3, "known": 0, "refused": 0}


def test_nobody_but_logstash_is_let_in(
    process: Process, sender: Sender, certificates: Callable[..., Path], events: list[Any]
) -> None:
    process.start()
    (body,) = batches(events[:1])
    sender.until_answered(b"[7]")
    # Of the same authority: Filebeat has one, too.
    filebeat = Sender(process.port, client_context(certificates("filebeat", "filebeat.node-agents")))
    status, told = filebeat.once(body)
    assert (status, told) == (403, f"the certificate has not the name '{CLIENT}'\n")
    assert status in RETRYABLE, "somebody's mistake, for which no record is given up"
    strangers = Authority.create("another")
    forged = certificates("forged", CLIENT, by=strangers)
    shutil.copy(process.tls / "ca.crt", forged / "ca.crt")
    expired = certificates("expired", CLIENT, valid=(timedelta(hours=-2), timedelta(hours=-1)))
    server_only = certificates("wrong-use", CLIENT, usage="server auth")
    bare = ssl.create_default_context(cafile=str(process.tls / "ca.crt"))
    for context in (*map(client_context, (forged, expired, server_only)), bare):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            Sender(process.port, context).once(body)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        plainly(process.port, body)
    assert ids(process.root) == []


def test_a_renewed_certificate_is_shown_without_a_restart(
    process: Process, sender: Sender, authority: Authority, events: list[Any]
) -> None:
    def serial() -> int:
        raw = socket.create_connection(("127.0.0.1", process.port), timeout=20)
        with sender.context.wrap_socket(raw, server_hostname=HOST) as secured:
            return int(str((secured.getpeercert() or {})["serialNumber"]), 16)

    process.start()
    sender.until_answered(b"[7]")
    before = serial()
    renewed = authority.issue(process.tls, "server", usages=("server auth",), dns_names=(HOST,))
    assert renewed != before
    assert serial() == renewed
    (process.tls / "tls.key").write_text("broken")
    assert serial() == renewed
    assert sender.until_answered(json.dumps(events[:1]).encode())["recorded"] == 1


def test_it_does_not_start_without_its_certificate(process: Process, tmp_path: Path) -> None:
    arguments = ["receive", f"--store={process.root}", f"--listen={process.port}", f"--client={CLIENT}"]
    told = run([*AUDIT, *arguments, f"--tls={tmp_path / 'none'}"], env=ENVIRONMENT, timeout=60)
    assert told.status == 2
    assert "none/tls.crt: No such file or directory" in told.stderr
    (process.tls / "ca.crt").write_text("nothing")
    told = run([*AUDIT, *arguments, f"--tls={process.tls}"], env=ENVIRONMENT, timeout=60)
    assert told.status == 2
    assert "no certificate, key and authority in PEM" in told.stderr


def test_records_are_taken_while_somebody_verifies(
    process: Process, sender: Sender, events: list[Any]
) -> None:
    process.start()
    key = Ed25519PrivateKey.generate()
    sender.until_answered(json.dumps(events[:10]).encode())
    store = Store(process.root)
    seal.seal_days(store, key, TRAIL, CLOSED, print)

    def meanwhile(text: str) -> None:
        assert sender.until_answered(json.dumps(events[10:20]).encode())["known"] in (0, 10)

    assert verify.verify(store, Ring((key.public_key(),)), TRAIL, CLOSED, progress=meanwhile).whole
    assert len(ids(process.root)) == 20
