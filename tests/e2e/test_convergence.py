"""Nothing is left to do after `make up`, however one asks."""

from __future__ import annotations

import json

from tests.e2e.conftest import Deployment
from tests.harness import kube
from tests.harness.commands import run
from tests.harness.engine import Engine, manifests
from toolchain import paths


def test_preview_expects_no_changes(engine: Engine) -> None:
    engine.run("preview", "--expect-no-changes").succeeded()


def test_refresh_finds_nothing(engine: Engine) -> None:
    engine.run("refresh", "--yes", "--expect-no-changes").succeeded()


def test_f1_second_update_changes_nothing(engine: Engine) -> None:
    engine.up("--expect-no-changes").succeeded()


def test_plain_pulumi_works_in_a_shell_that_sourced_the_environment(deployment: Deployment) -> None:
    settings = paths.ROOT / "Pulumi.dev.yaml"
    before = settings.read_bytes()
    command = "source .toolchain/env && pulumi preview --stack dev --expect-no-changes && kubectl get nodes"
    try:
        result = run(["bash", "-c", command]).succeeded()
    finally:
        # As with every stack that a passphrase protects, the engine adds its salt: it is this machine's.
        settings.write_bytes(before)
    assert " Ready " in result.stdout


def test_api_server_accepts_every_object_as_the_program_wrote_it(engine: Engine) -> None:
    # Data of Secrets has to be what it is: a cipher is no base64.
    objects = manifests(engine.resources("--show-secrets"))
    assert objects
    flags = (
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        "--field-manager=e2e",
        "--validate=strict",
    )
    # A Job's name was chosen by the engine.
    named = [item for item in objects if "name" in item["metadata"]]
    kube.apply(*named, arguments=flags).succeeded()


def test_network_policy_controller_and_pod_security_are_at_work(namespace: str) -> None:
    privileged = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]},
    }
    refused = kube.apply(privileged, arguments=["--dry-run=server"]).failed()
    assert "violates PodSecurity" in refused.output
    policies = kube.items("networkpolicies", "--namespace", namespace)
    assert "default-deny" in json.dumps([policy["metadata"]["name"] for policy in policies])
