"""F19: an object edited or deleted by hand is seen and repaired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import kube
from tests.harness.api import Client
from tests.harness.engine import Engine
from tests.harness.published import MODEL

EDITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "quota raised": ("resourcequota", "tenant-quota", {"spec": {"hard": {"pods": "99"}}}),
    "network policy opened": ("networkpolicy", "default-deny", {"spec": {"policyTypes": ["Egress"]}}),
    "disruption budget loosened": ("poddisruptionbudget", MODEL, {"spec": {"maxUnavailable": 3}}),
}
DELETIONS = (("networkpolicy", "allow-dns"), ("poddisruptionbudget", MODEL), ("service", MODEL))


def _spec(kind: str, name: str, namespace: str) -> dict[str, Any]:
    spec: dict[str, Any] = kube.get(kind, name, "--namespace", namespace)["spec"]
    return spec


def _seen_and_repaired(engine: Engine) -> None:
    engine.run("refresh", "--preview-only", "--expect-no-changes").failed()
    engine.up("--refresh").succeeded()
    engine.run("refresh", "--yes", "--expect-no-changes").succeeded()
    engine.run("preview", "--expect-no-changes").succeeded()


def test_f19_objects_edited_by_hand_are_seen_and_repaired(engine: Engine, namespace: str) -> None:
    before = {case: _spec(kind, name, namespace) for case, (kind, name, _) in EDITS.items()}
    for kind, name, patch in EDITS.values():
        arguments = ("patch", kind, name, "--namespace", namespace, "--type=merge", "-p", json.dumps(patch))
        kube.kubectl(*arguments).succeeded()
    _seen_and_repaired(engine)
    assert {case: _spec(kind, name, namespace) for case, (kind, name, _) in EDITS.items()} == before


def test_f19_objects_deleted_by_hand_are_seen_and_made_again(
    engine: Engine, namespace: str, api: Client
) -> None:
    for kind, name in DELETIONS:
        kube.kubectl("delete", kind, name, "--namespace", namespace, "--wait").succeeded()
    _seen_and_repaired(engine)
    for kind, name in DELETIONS:
        assert kube.get(kind, name, "--namespace", namespace)
    # A Service that was made again has an address of its own, which the outputs tell.
    endpoint = engine.run("stack", "output", "endpoint").succeeded().stdout.strip()
    renewed = Client(endpoint, api.model)
    assert kube.wait_until("the new Service serves", renewed.serves, 60)


@pytest.fixture(scope="module", autouse=True)
def _settled(engine: Engine) -> None:
    engine.run("preview", "--expect-no-changes").succeeded()
