"""The audit trail of the deployed stack: what is done is recorded and sealed, and no change goes unseen."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit_trail import cli, seal
from audit_trail.store import Store
from components.common.names import AGENTS_NAMESPACE
from tests.harness import kube
from tests.harness.api import Client
from tests.harness.commands import Result
from tests.harness.published import MODEL
from toolchain import paths

TRAIL = "audit-collector-0"
STORE = "/var/lib/audit-trail"
ALICE = "alice-of-the-audit-tests"
_RECORDED_SECONDS = 90
"""Logs are read every five seconds; the collector has little CPU."""
_JOB_SECONDS = 240

# Without what nobody but the sealing Job may read. The image has Python and no tar.
COPY = f"""
import base64, io, os, sys, tarfile
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w:gz") as archive:
    for name in ("records", "seals", "refused", "state", "keys/public"):
        if os.path.exists(f"{STORE}/{{name}}"):
            archive.add(f"{STORE}/{{name}}", name)
sys.stdout.write(base64.b64encode(out.getvalue()).decode())
"""
METRICS = """
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=10).read().decode())
"""


@pytest.fixture(scope="module", autouse=True)
def _deployed(namespace: str) -> None:
    found = kube.kubectl(
        *("get", "statefulset", "audit-collector", "-n", AGENTS_NAMESPACE, "--ignore-not-found", "-o", "name")
    )
    if not found.stdout.strip():
        pytest.skip("stack dev has no audit trail: its settings have no section audit")
    kube.kubectl(
        *("wait", "--for=condition=Ready", f"pod/{TRAIL}", "-n", AGENTS_NAMESPACE, "--timeout=120s")
    ).succeeded()


def in_collector(*command: str) -> str:
    """What a command in the collector's pod prints."""
    return kube.kubectl("exec", TRAIL, "-n", AGENTS_NAMESPACE, "--", *command).succeeded().stdout


def recorded(since: date, **fields: str) -> list[dict[str, Any]]:
    """Records with these values, as the documented command finds them."""
    chosen = [f"--field={name}={value}" for name, value in fields.items()]
    lines = in_collector(
        "python3", "-m", "audit_trail", "records", f"--store={STORE}", f"--since={since}", *chosen
    ).splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def began() -> datetime:
    return datetime.now(UTC)


# --- a user with a certificate


@pytest.fixture(scope="module")
def alice(
    namespace: str, began: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ...]]:
    """kubectl's arguments of a user who may look at the tenant's pods, and at nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ALICE)]))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    role, subject = "rbac.authorization.k8s.io", {"kind": "User", "name": ALICE}
    kube.kubectl("delete", "certificatesigningrequest", ALICE, "--ignore-not-found").succeeded()
    try:
        kube.apply(
            {
                "apiVersion": "certificates.k8s.io/v1",
                "kind": "CertificateSigningRequest",
                "metadata": {"name": ALICE},
                "spec": {
                    "request": base64.b64encode(request.public_bytes(encoding)).decode(),
                    "signerName": "kubernetes.io/kube-apiserver-client",
                    "expirationSeconds": 3600,
                    "usages": ["client auth"],
                },
            },
            {
                "apiVersion": f"{role}/v1",
                "kind": "Role",
                "metadata": {"name": ALICE, "namespace": namespace},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
            },
            {
                "apiVersion": f"{role}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": ALICE, "namespace": namespace},
                "roleRef": {"apiGroup": role, "kind": "Role", "name": ALICE},
                "subjects": [{**subject, "apiGroup": role}],
            },
        ).succeeded()
        kube.kubectl("certificate", "approve", ALICE).succeeded()

        def issued() -> str | None:
            found: str | None = kube.get("certificatesigningrequest", ALICE)["status"].get("certificate")
            return found

        certificate = kube.wait_until("alice has a certificate", issued, 60)
        view = kube.kubectl("config", "view", "--raw", "--flatten", "-o", "json").succeeded().stdout
        config = json.loads(view)
        config["users"][0]["user"] = {
            "client-certificate-data": certificate,
            "client-key-data": base64.b64encode(private).decode(),
        }
        file = tmp_path_factory.mktemp("alice") / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(config), encoding="utf-8")
        yield ("--kubeconfig", str(file), "-n", namespace)
    finally:
        kube.kubectl("delete", "certificatesigningrequest", ALICE, "--ignore-not-found")
        kube.kubectl("delete", "role,rolebinding", ALICE, "-n", namespace, "--ignore-not-found")


@pytest.fixture(scope="module")
def deeds(alice: tuple[str, ...], began: datetime, api: Client) -> dict[str, dict[str, Any]]:
    """The records of what is done here: a chat, a look at pods, and one at Secrets that is denied."""
    assert api.chat(max_tokens=4).status == 200

    def looked(what: str) -> Result:
        return kube.kubectl(*alice, "get", what)

    # Rights that have just been given take a moment.
    kube.wait_until("alice may see pods", lambda: looked("pods").status == 0, 30)
    assert "forbidden" in looked("secrets").failed().output
    wanted = {
        "chat": {"source": "model", "action": "POST", "resource": "/v1/chat/completions"},
        "pods": {"source": "kubernetes", "user": ALICE, "resource": "pods", "result": "success"},
        "secrets": {"source": "kubernetes", "user": ALICE, "resource": "secrets"},
    }
    started, found = time.monotonic(), dict[str, dict[str, Any]]()
    for deed, fields in wanted.items():

        def newest(fields: dict[str, str] = fields) -> dict[str, Any] | None:
            records = recorded(began.date(), **fields)
            return records[-1] if records and _time(records[-1]) >= began else None

        found[deed] = kube.wait_until(f"{deed} is recorded", newest, _RECORDED_SECONDS)
    print(f"\nall recorded {time.monotonic() - started:.1f} s later")
    return found


def _time(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["timestamp"])


def test_a_chat_and_a_users_requests_are_recorded_in_one_form(
    deeds: dict[str, dict[str, Any]], namespace: str
) -> None:
    schema = json.loads((paths.ROOT / "docs" / "audit.schema.json").read_text(encoding="utf-8"))
    for record in deeds.values():
        jsonschema.validate(record, schema)
        assert record["ip"]
        assert record["node"]
    assert (deeds["chat"]["result"], deeds["chat"]["status"]) == ("success", 200)
    assert (deeds["pods"]["action"], deeds["pods"]["namespace"]) == ("list", namespace)
    assert (deeds["secrets"]["result"], deeds["secrets"]["status"]) == ("denied", 403)
    print(f"\n{json.dumps(deeds, indent=1)}")


def test_nothing_that_was_said_is_in_the_trail(
    deeds: dict[str, dict[str, Any]], began: datetime, namespace: str
) -> None:
    everything = json.dumps(recorded(began.date(), source="model"))
    assert "Open the second entry" not in everything
    assert "data:image" not in everything


def test_every_line_of_the_real_logs_was_read(deeds: dict[str, dict[str, Any]]) -> None:
    page = in_collector("python3", "-c", METRICS)
    refused = [line for line in page.splitlines() if line.startswith("audit_refused_lines_total")]
    assert refused
    assert [line for line in refused if not line.endswith(" 0")] == []


# --- seals


def run_job(cron_job: str) -> str:
    """Log of one run of a CronJob of the trail."""
    name = f"{cron_job}-e2e"
    where = ("-n", AGENTS_NAMESPACE)
    kube.kubectl("delete", "job", name, *where, "--ignore-not-found", "--wait").succeeded()
    kube.kubectl("create", "job", f"--from=cronjob/{cron_job}", name, *where).succeeded()
    try:
        kube.kubectl(
            *("wait", "--for=condition=complete", f"job/{name}", *where, f"--timeout={_JOB_SECONDS}s"),
            timeout=_JOB_SECONDS + 30,
        ).succeeded()
        return kube.kubectl("logs", f"job/{name}", *where).succeeded().stdout
    finally:
        kube.kubectl("delete", "job", name, *where, "--wait=false")


def test_the_jobs_seal_what_is_over_and_find_it_whole(deeds: dict[str, dict[str, Any]]) -> None:
    run_job("audit-seal-0")
    told = run_job("audit-verify-0")
    assert told.splitlines()[-1].startswith("whole: ")
    assert "audit_verify_success 1\n" in in_collector("python3", "-c", METRICS)
    print(f"\n{told}")


class _Tomorrow(datetime):
    """Today is over, and its last records have come."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(days=1) + seal.GRACE


@pytest.fixture(scope="module")
def closed(
    deeds: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, date, list[str]]:
    """A copy of the real trail whose newest day is closed, as tomorrow, with a key of the test's own.

    The day itself stays open in the cluster: nothing there seals a day that is not over.
    """
    root = tmp_path_factory.mktemp("closed")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(in_collector("python3", "-c", COPY)))) as archive:
        archive.extractall(root / "trail", filter="data")
    store = Store(root / "trail")
    ring = [store.root / "keys" / "public"] if store.days("seals", ".json") else []
    ring.append(root / "public.pem")
    assert cli.main(["keygen", f"--private={root}/private.pem", f"--public={root}/public.pem"]) == 0
    day = max(store.days("records", ".jsonl"))
    assert cli.main(["seal", *_of(store.root), f"--key={root}/private.pem", f"--until={day}"]) == cli.REFUSED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "datetime", _Tomorrow)
        assert cli.main(["seal", *_of(store.root), f"--key={root}/private.pem", f"--until={day}"]) == 0
    return store.root, day, [f"--public-key={path}" for path in ring]


def _of(root: Path) -> tuple[str, str]:
    return f"--store={root}", f"--trail={TRAIL}"


def verified(
    root: Path, closed: tuple[Path, date, list[str]], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Status and findings of `verify`, as an auditor runs it: with public keys, on a copy."""
    capsys.readouterr()
    status = cli.main(["verify", *_of(root), *closed[2], f"--until={closed[1]}"])
    return status, capsys.readouterr().out


@pytest.fixture
def copy(closed: tuple[Path, date, list[str]], tmp_path: Path) -> Store:
    """A copy to be altered."""
    shutil.copytree(closed[0], tmp_path / "trail")
    return Store(tmp_path / "trail")


def test_the_closed_day_verifies(
    closed: tuple[Path, date, list[str]],
    deeds: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, told = verified(closed[0], closed, capsys)
    assert (status, told.startswith("whole: ")) == (0, True), told
    lines = Store(closed[0]).records(closed[1]).read_text(encoding="utf-8")
    if all(_time(record).date() == closed[1] for record in deeds.values()):
        assert all(f'"id":"{record["id"]}"' in lines for record in deeds.values())
    print(f"\n{told}")


def _edit(lines: list[bytes]) -> list[bytes]:
    """Somebody else did it."""
    index = next(index for index, line in enumerate(lines) if ALICE.encode() in line)
    return [*lines[:index], lines[index].replace(ALICE.encode(), b"bob"), *lines[index + 1 :]]


def _delete(lines: list[bytes]) -> list[bytes]:
    """It never happened."""
    index = next(index for index, line in enumerate(lines) if ALICE.encode() in line)
    return lines[:index] + lines[index + 1 :]


def _reorder(lines: list[bytes]) -> list[bytes]:
    """Something else came first."""
    return [lines[1], lines[0], *lines[2:]]


@pytest.mark.parametrize(
    ("change", "kind"), [(_edit, "edited"), (_delete, "deleted"), (_reorder, "reordered")]
)
def test_a_changed_copy_is_found(
    change: Any,
    kind: str,
    copy: Store,
    closed: tuple[Path, date, list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = copy.records(closed[1])
    before = path.read_bytes().splitlines(keepends=True)
    path.chmod(0o640)
    path.write_bytes(b"".join(change(before)))
    status, told = verified(copy.root, closed, capsys)
    assert status == cli.ALTERED
    assert f"{closed[1]} line " in told
    assert f": {kind}: " in told
    print(f"\n{told}")


def test_a_seal_made_with_another_key_is_found(
    copy: Store,
    closed: tuple[Path, date, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Who can write to the volume changes the records and seals them anew."""
    path = copy.records(closed[1])
    path.write_bytes(b"".join(_delete(path.read_bytes().splitlines(keepends=True))))
    copy.seal(closed[1]).unlink()
    cli.main(["keygen", f"--private={tmp_path}/private.pem", f"--public={tmp_path}/public.pem"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "datetime", _Tomorrow)
        sealed = ["seal", *_of(copy.root), f"--key={tmp_path}/private.pem", f"--until={closed[1]}"]
        assert cli.main(sealed) == 0
    status, told = verified(copy.root, closed, capsys)
    assert status == cli.ALTERED
    assert f"{closed[1]}: forged: " in told


def test_the_model_server_does_not_reach_the_collector(namespace: str) -> None:
    """The policies of the collector admit monitoring alone."""
    address = kube.get("pod", TRAIL, "-n", AGENTS_NAMESPACE)["status"]["podIP"]
    code = (
        "import socket, sys\n"
        "try:\n"
        "    socket.create_connection((sys.argv[1], 9464), timeout=3).close()\n"
        "except OSError as error:\n"
        "    print(type(error).__name__)\n"
        "else:\n"
        "    print('reached')\n"
    )
    told = kube.kubectl("exec", f"deployment/{MODEL}", "-n", namespace, "--", "python3", "-c", code, address)
    assert told.succeeded().stdout.strip() in ("TimeoutError", "ConnectionRefusedError", "OSError")
