"""etcd and the service registry of the deployed stack: real pods, real certificates, real losses."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.etcd_release import EtcdRelease, etcd_release
from tests.harness import kube
from tests.harness.published import MODEL
from toolchain import paths

_REGISTRY = "deploy/etcd-registry"
_BACK_SECONDS = 300
"""A pod with little CPU on a busy machine takes its time to start."""

# Runs in the registry's pod, whose certificate and name make it a client of etcd.
WRITER = """
import json, os, sys, time
from pathlib import Path
from etcd_tools.cluster import Cluster
from etcd_tools.errors import Refused
from etcd_tools.gateway import Credentials, encoded, prefix_end

seconds = float(sys.argv[1])
endpoints = os.environ["ETCD_ENDPOINTS"].split(",")
cluster = Cluster(endpoints, Credentials(Path("/etc/etcd/tls/client")), timeout=5.0)
everything = {"key": encoded("/e2e/"), "range_end": prefix_end("/e2e/")}
cluster.call("kv/deleterange", everything)
started, keys, pause, last = time.monotonic(), [], 0.0, time.monotonic()
while time.monotonic() - started < seconds:
    key = f"/e2e/{len(keys):05}"
    try:
        cluster.call("kv/put", {"key": encoded(key), "value": encoded(key)})
    except Refused:
        time.sleep(0.2)
        continue
    now = time.monotonic()
    keys.append(key)
    pause, last = max(pause, now - last), now
answer = cluster.call("kv/range", {**everything, "keys_only": True})
print(json.dumps({"written": len(keys), "there": len(answer.get("kvs", [])), "pause": pause}))
cluster.call("kv/deleterange", everything)
"""


@pytest.fixture(scope="module", autouse=True)
def _deployed(namespace: str) -> None:
    found = kube.kubectl(
        "get", "statefulset", "etcd", "--namespace", namespace, "--ignore-not-found", "-o", "name"
    )
    if not found.stdout.strip():
        pytest.skip("the stack's settings have no section etcd")


def tools(namespace: str, *arguments: str, timeout: float = 120) -> str:
    """`etcd_tools` in the registry's pod."""
    command = ("exec", "--namespace", namespace, _REGISTRY, "--", "python3", "-m", "etcd_tools", *arguments)
    return kube.kubectl(*command, timeout=timeout).succeeded().stdout


def member_pods(namespace: str) -> dict[str, dict[str, Any]]:
    selector = ("--namespace", namespace, "-l", "app.kubernetes.io/name=etcd")
    return {pod["metadata"]["name"]: pod for pod in kube.items("pods", *selector)}


def all_healthy(namespace: str) -> bool:
    result = kube.kubectl(
        "exec", "--namespace", namespace, _REGISTRY, "--", "python3", "-m", "etcd_tools", "status", timeout=60
    )
    return result.status == 0


def test_three_members_agree(namespace: str) -> None:
    kube.wait_until("all members healthy", lambda: all_healthy(namespace), _BACK_SECONDS)
    lines = tools(namespace, "status").splitlines()
    assert len(lines) == 3
    assert sum(": leader," in line for line in lines) == 1
    assert sorted(line.split()[0] for line in lines) == ["etcd-0", "etcd-1", "etcd-2"]


def test_the_model_server_is_registered(namespace: str) -> None:
    (server,) = kube.items("pods", "--namespace", namespace, "-l", "app.kubernetes.io/name=model-server")
    address = server["status"]["podIP"]

    def line() -> str | None:
        return next(
            (li for li in tools(namespace, "servers").splitlines() if f"{MODEL}/{address}:8000" in li), None
        )

    entry = kube.wait_until("model server registered", line, 60)
    assert re.search(rf"  {MODEL}  ready since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", entry)


def test_writes_continue_while_a_members_pod_is_deleted(namespace: str) -> None:
    kube.wait_until("all members healthy", lambda: all_healthy(namespace), _BACK_SECONDS)
    # The leader: the loss that costs most.
    leader = tools(namespace, "order").split()[-1]
    before = member_pods(namespace)[leader]["metadata"]["uid"]
    output: list[str] = []

    def write() -> None:
        command = ("exec", "--namespace", namespace, _REGISTRY, "--", "python3", "-c", WRITER, "60")
        output.append(kube.kubectl(*command, timeout=120).succeeded().stdout)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(20)
    kube.kubectl("delete", "pod", leader, "--namespace", namespace, "--wait=false").succeeded()
    writer.join()
    result = json.loads(output[0])
    assert result["written"] == result["there"]
    assert result["written"] > 10
    print(f"{result['written']} writes, longest pause {result['pause']:.1f} s")
    assert result["pause"] < 20, "writes did not go on"

    def replaced() -> bool:
        pod = member_pods(namespace).get(leader)
        return pod is not None and pod["metadata"]["uid"] != before and all_healthy(namespace)

    kube.wait_until(f"{leader} back", replaced, _BACK_SECONDS)


def test_a_renewed_certificate_is_served_without_a_restart(namespace: str) -> None:
    secret = ("secret", "etcd-server", "--namespace", namespace)
    before = kube.get(*secret)["data"]["tls.crt"]
    starts = {
        name: pod["status"]["containerStatuses"][0]["restartCount"]
        for name, pod in member_pods(namespace).items()
    }
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "renewed by a test",
        "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    kube.kubectl(
        "patch",
        "certificates.cert-manager.io",
        "etcd-server",
        "--namespace",
        namespace,
        "--subresource=status",
        "--type=merge",
        "--patch",
        json.dumps({"status": {"conditions": [condition]}}),
    ).succeeded()
    kube.wait_until("certificate renewed", lambda: kube.get(*secret)["data"]["tls.crt"] != before, 60)
    serve = (
        "import base64, os, ssl, sys\n"
        "host, port = os.environ['ETCD_ENDPOINTS'].split(',')[0].removeprefix('https://').split(':')\n"
        "context = ssl.create_default_context(cafile='/etc/etcd/tls/client/ca.crt')\n"
        "context.load_cert_chain('/etc/etcd/tls/client/tls.crt', '/etc/etcd/tls/client/tls.key')\n"
        "import socket\n"
        "with context.wrap_socket(socket.create_connection((host, int(port)), 5), server_hostname=host) as "
        "s:\n"
        "    print(ssl.DER_cert_to_PEM_cert(s.getpeercert(True)))\n"
    )

    def served() -> bool:
        wanted = base64.b64decode(kube.get(*secret)["data"]["tls.crt"]).decode()
        command = ("exec", "--namespace", namespace, _REGISTRY, "--", "python3", "-c", serve)
        answer = kube.kubectl(*command, timeout=60)
        return answer.status == 0 and answer.stdout.strip() == wanted.strip()

    # The kubelet looks for changed Secrets about once a minute.
    kube.wait_until("the new certificate is served", served, 180, pause=5)
    now = {
        name: pod["status"]["containerStatuses"][0]["restartCount"]
        for name, pod in member_pods(namespace).items()
    }
    assert now == starts


def test_a_snapshot_is_taken_and_verified(namespace: str) -> None:
    name = "etcd-snapshot-e2e"
    kube.kubectl("delete", "job", name, "--namespace", namespace, "--ignore-not-found", "--wait").succeeded()
    kube.kubectl("create", "job", "--from=cronjob/etcd-snapshot", name, "--namespace", namespace).succeeded()
    try:
        waiting = (
            "wait",
            "--for=condition=complete",
            f"job/{name}",
            "--namespace",
            namespace,
            "--timeout=240s",
        )
        kube.kubectl(*waiting, timeout=300).succeeded()
        log = kube.kubectl("logs", f"job/{name}", "--namespace", namespace).succeeded().stdout
        assert re.search(r"^[0-9a-f]{64}  \d{8}T\d{6}Z-etcd-\d\.db$", log, re.MULTILINE)
    finally:
        kube.kubectl("delete", "job", name, "--namespace", namespace, "--wait=false")


@pytest.mark.parametrize("label", [None, "maintenance-of-nobody"])
def test_pods_that_are_no_client_do_not_reach_the_members(namespace: str, label: str | None) -> None:
    (member, *_) = member_pods(namespace).values()
    code = (
        "import socket, sys\n"
        "for port in (2379, 2380, 2381):\n"
        "    for _ in range(3):\n"
        "        try:\n"
        "            socket.create_connection((sys.argv[1], port), timeout=1).close()\n"
        "            sys.exit(f'reached {port}')\n"
        "        except OSError:\n"
        "            pass\n"
        "print('reached nothing')\n"
    )
    image = json.loads(paths.IMAGES_FILE.read_text())["images"]["weights"]["reference"]
    metadata: dict[str, Any] = {"name": "e2e-no-client", "namespace": namespace}
    if label is not None:
        metadata["labels"] = {"autoglm-platform/etcd-client": label}
    spec = kube.pod_spec(image, code, member["status"]["podIP"])
    kube.kubectl("delete", "pod", metadata["name"], "--namespace", namespace, "--ignore-not-found", "--wait")
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).succeeded()
    try:

        def ended() -> str | None:
            phase: str = kube.get("pod", metadata["name"], "--namespace", namespace)["status"]["phase"]
            return phase if phase in ("Succeeded", "Failed") else None

        phase = kube.wait_until("probe ended", ended, 120)
        log = kube.kubectl("logs", metadata["name"], "--namespace", namespace).succeeded().stdout
        assert (phase, log.strip()) == ("Succeeded", "reached nothing")
    finally:
        kube.kubectl("delete", "pod", metadata["name"], "--namespace", namespace, "--wait=false")


# --- losses, in a cluster of the tests' own

# Overwrites part of a snapshot and mends the sum that is embedded in it, as whoever can write there could.
TAMPER = """
import hashlib, pathlib, shutil, sys
file = pathlib.Path("/snapshots", sys.argv[1])
kept = file.with_suffix(".genuine")
if sys.argv[2] == "tamper":
    shutil.copyfile(file, kept)
    content = file.read_bytes()[:-32].replace(b"/e2e/before/00007", b"/e2e/before/forge")
    file.write_bytes(content + hashlib.sha256(content).digest())
    print(file.read_bytes() != kept.read_bytes())
else:
    kept.replace(file)
    print(True)
"""


@pytest.fixture(scope="module")
def release(namespace: str) -> Iterator[EtcdRelease]:
    images = json.loads(paths.IMAGES_FILE.read_text())["images"]
    references = {name: image["reference"] for name, image in images.items()}
    with etcd_release("e2e-etcd", references, _BACK_SECONDS) as made:
        yield made


def test_a_lost_member_is_replaced(release: EtcdRelease) -> None:
    release.wait_healthy(_BACK_SECONDS)
    written = release.put("/e2e/replace/", 20)
    assert len(written) == 20
    # The runbook's commands.
    release.kubectl("delete", "pvc", "data-etcd-2", "--wait=false").succeeded()
    release.kubectl("delete", "pod", "etcd-2").succeeded()
    kube.wait_until(
        "the new pod waits for its place", lambda: "etcd_tools replace" in release.bootstrap_logs(2), 90
    )
    replaced = release.tools("replace", "etcd-2", timeout=300).succeeded()
    assert "added as a learner" in replaced.stderr
    assert "has a vote" in replaced.stderr
    release.wait_healthy(_BACK_SECONDS)
    assert set(release.keys(2, "/e2e/replace/")) == set(written)


def test_a_full_database_is_emptied_and_written_again(release: EtcdRelease) -> None:
    release.wait_healthy(_BACK_SECONDS)
    # The same keys over and over: it is the history that fills 16 MiB.
    for _ in range(20):
        if len(release.put("/e2e/full/", 4, size=400_000)) < 4:
            break
    assert "ALARM NOSPACE" in release.tools("status").stdout
    assert release.put("/e2e/refused/", 1) == []
    release.tools("recover-space").succeeded()
    assert release.put("/e2e/accepted/", 1) == ["/e2e/accepted/00000"]
    assert "NOSPACE" not in release.tools("status").succeeded().stdout


def test_after_a_total_loss_the_snapshot_brings_back_every_key(release: EtcdRelease) -> None:
    release.wait_healthy(_BACK_SECONDS)
    before = release.put("/e2e/before/", 50)
    assert len(before) == 50
    sha256, name = release.snapshot()
    assert len(release.put("/e2e/after/", 10)) == 10

    # Somebody has altered the snapshot, and the sum that is embedded in it.
    assert release.on_snapshots(TAMPER, name, "tamper").strip() == "True"
    # The quorum is lost with its data: nobody founds a second cluster beside the member that is left.
    for lost in (0, 1):
        release.kubectl("delete", "pvc", f"data-etcd-{lost}", "--wait=false").succeeded()
        release.kubectl("delete", "pod", f"etcd-{lost}", "--wait=false").succeeded()
    kube.wait_until(
        "both wait",
        lambda: all(f"`etcd_tools replace etcd-{lost}`" in release.bootstrap_logs(lost) for lost in (0, 1)),
        _BACK_SECONDS,
    )
    release.apply({"restore": {"snapshot": name, "sha256": sha256}})
    # As documented: deleted only when the members will start from the snapshot.
    told = f"--for=jsonpath={{.spec.template.spec.initContainers[0].args[7]}}={sha256}"
    release.kubectl("wait", "statefulset/etcd", told, "--timeout=60s").succeeded()
    release.lose_everything()
    kube.wait_until(
        "the altered snapshot is refused by all",
        lambda: all(f"{name}: SHA-256 is" in release.bootstrap_logs(index) for index in range(3)),
        _BACK_SECONDS,
    )
    assert not release.healthy()

    # The genuine one is accepted by the same pods.
    release.on_snapshots(TAMPER, name, "undo")
    began = time.monotonic()
    release.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=etcd", "--wait=false").succeeded()
    release.wait_healthy(_BACK_SECONDS)
    print(f"restored {time.monotonic() - began:.0f} s after the pods were created")
    for index in range(3):
        held = release.keys(index, "/e2e/before/")
        assert {key: held.get(key) for key in before} == {key: key for key in before}
        assert release.keys(index, "/e2e/after/") == {}, "later than the snapshot"


def test_a_first_start_from_nothing_does_not_stall(release: EtcdRelease) -> None:
    release.apply()
    began = time.monotonic()
    release.lose_everything()
    release.wait_healthy(_BACK_SECONDS)
    print(f"from nothing to healthy in {time.monotonic() - began:.0f} s")
    assert release.keys(0, "/e2e/") == {}
