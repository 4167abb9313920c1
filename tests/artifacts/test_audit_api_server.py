"""The audit policy as a real kube-apiserver takes it, and its log as the collector reads it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_trail import records
from audit_trail.collect import Collector
from audit_trail.records import Record
from audit_trail.store import Store
from components.audit import api_server as audited
from tests.harness import api_server
from tests.harness.api_server import ApiServer
from toolchain.errors import ToolchainError

pytestmark = pytest.mark.slow

CANARY = "canary-9d1f4c"
READER = "reader-token"
_SECONDS = 20


def _audit_arguments(log: Path) -> list[str]:
    flags = {
        **audited.flags(),
        "audit-policy-file": str(audited.POLICY_FILE),
        "audit-log-path": str(log),
    }
    return [f"--{name}={value}" for name, value in flags.items()]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[ApiServer]:
    try:
        with api_server.start(
            tmp_path_factory.mktemp("api"),
            arguments=_audit_arguments(log),
            tokens={READER: ("readers",)},
        ) as running:
            running.namespace("tenant", {})
            _act(running)
            yield running
    except ToolchainError as error:
        pytest.skip(f"kube-apiserver cannot be had here: {error}")


def _act(server: ApiServer) -> None:
    """What administrators and others do, with the canary in every body that can hold it."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "tenant"}}
    path = "/api/v1/namespaces/tenant"
    server.create({**secret, "stringData": {"password": CANARY}}).succeeded()
    server.request("GET", f"{path}/secrets/s").succeeded()
    server.request("GET", f"{path}/secrets").succeeded()
    patch = {"stringData": {"password": f"{CANARY}-2"}}
    server.request("PATCH", f"{path}/secrets/s", patch, "application/merge-patch+json").succeeded()
    server.request("GET", f"{path}/secrets/s", token=READER)
    server.request("DELETE", f"{path}/secrets/s").succeeded()
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "tenant"}}
    server.create({**configmap, "data": {"key": CANARY}}).succeeded()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "tenant"},
        "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "TOKEN", "value": CANARY}]}]},
    }
    server.create(pod)
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = server.request("POST", f"{path}/serviceaccounts/default/token", token)
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": answer.body.get("status", {}).get("token", CANARY)},
    }
    server.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    server.request("POST", f"{path}/pods/p/exec?container=c&command={CANARY}")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "granted"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    server.create(binding).succeeded()
    server.request("GET", "/readyz")
    # The last one: when it is in the log, everything before is.
    server.request("GET", f"{path}/pods/last")


Found = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def store(server: ApiServer, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Everything that the collector makes of the log."""
    store = Store(tmp_path_factory.mktemp("trail"))
    collector = Collector(store, {"kubernetes": [str(log.parent / "audit*.log")]}, node="node-1")
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        collector.run_pass()
        if any(one.name == "last" for one in _records(store)):
            break
        time.sleep(0.1)
    assert collector.refused == {}, "every line of the real API server is read"
    assert collector.records["kubernetes"] > 100
    return store


def _records(store: Store) -> list[Record]:
    found = []
    for day in store.days("records", ".jsonl"):
        found += [records.parse(line) for line in store.records(day).read_bytes().splitlines(keepends=True)]
    return found


@pytest.fixture(scope="module")
def found(store: Store) -> Found:
    """Records with these fields."""

    def search(**fields: Any) -> list[Record]:
        return [
            one
            for one in _records(store)
            if all(getattr(one, name) == value for name, value in fields.items())
        ]

    return search


def test_the_server_writes_its_log_readable_by_root_only(store: Store, log: Path) -> None:
    assert log.stat().st_mode & 0o077 == 0


def test_the_policy_is_accepted_and_who_did_what_is_recorded(found: Found) -> None:
    for action in ("create", "get", "patch", "delete"):
        (one,) = found(resource="secrets", action=action, name="s", user="admin")
        assert (one.namespace, one.ip, one.result) == ("tenant", "127.0.0.1", "success")
        assert one.trace_id
        when = datetime.fromisoformat(one.timestamp)
        assert abs((datetime.now(UTC) - when).total_seconds()) < 600
    assert found(resource="secrets", action="list", namespace="tenant", user="admin")


def test_what_was_denied_is_recorded_as_such(found: Found) -> None:
    (one,) = found(user=READER, resource="secrets")
    assert (one.action, one.result, one.status) == ("get", "denied", 403)


def test_a_way_into_a_container_is_recorded(found: Found) -> None:
    (one,) = found(action="exec")
    assert (one.resource, one.namespace, one.name, one.user) == ("pods/exec", "tenant", "p", "admin")


def test_granted_rights_are_in_the_log(server: ApiServer, log: Path, found: Found) -> None:
    assert found(resource="clusterrolebindings.rbac.authorization.k8s.io", name="granted")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    (event,) = [one for one in events if (one.get("objectRef") or {}).get("name") == "granted"]
    assert event["requestObject"]["subjects"][0]["name"] == "mallory"


def test_tokens_and_reviews_are_recorded_without_the_token(store: Store, log: Path, found: Found) -> None:
    assert found(resource="serviceaccounts/token", action="create", name="default")
    assert found(resource="tokenreviews.authentication.k8s.io")
    # What a token begins with: {"alg":"RS256","kid"…
    assert "eyJhbGciOi" not in log.read_text()


def test_a_canary_is_in_no_log_but_the_address_of_exec_and_in_no_record(
    server: ApiServer, store: Store, log: Path
) -> None:
    written = "".join(path.read_text() for path in store.root.rglob("*.jsonl"))
    for text in (CANARY, base64.b64encode(CANARY.encode()).decode().rstrip("=")[:-1]):
        assert text not in written
        lines = [line for line in log.read_text().splitlines() if text in line]
        # kube-apiserver writes the address at every level; the collector leaves the query out.
        assert all(json.loads(line)["requestURI"].partition("?")[2].find(text) >= 0 for line in lines)
        assert all("responseObject" not in json.loads(line) for line in lines)


def test_probes_and_leases_are_not_recorded(found: Found) -> None:
    assert found(resource="/readyz") == []
    assert [one for one in found(action="update") if one.resource.startswith("leases")] == []
