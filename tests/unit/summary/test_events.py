"""The engine's event log is read as it is meant."""

from __future__ import annotations

from stacks.summary import events
from stacks.summary.changes import changes
from stacks.summary.events import kind_of
from stacks.summary.policies import Exemption, verdict
from tests.unit.summary.log import finding, judged, prelude, preview, step, urn

POOL = "aws:eks/nodeGroup:NodeGroup"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"


def test_resources_are_counted_by_kind_and_operation() -> None:
    seen = changes(
        preview(
            step("pulumi:pulumi:Stack", "prod"),
            step("autoglm:eks:EksPlatform", "platform"),
            step("pulumi:providers:aws", "aws"),
            step(POOL, "a"),
            step(POOL, "b"),
            step(DEPLOYMENT, "server", "update"),
            step("aws:kms/key:Key", "key", "same"),
        ).resources
    )
    assert [(kind.kind, kind.counts) for kind in seen.kinds] == [
        ("aws:eks:NodeGroup", {"create": 2}),
        ("kubernetes:apps/v1:Deployment", {"update": 1}),
    ]
    assert (seen.total("create"), seen.total("delete"), seen.unchanged) == (2, 0, 1)


def test_a_replacement_is_one_change_however_many_steps_it_takes() -> None:
    steps = ("create-replacement", "replace", "delete-replaced")
    seen = changes(preview(*(step(POOL, "a", operation) for operation in steps)).resources)
    assert seen.total("replace") == 1
    assert seen.total("create") == seen.total("delete") == 0
    assert seen.disruptive == ("replace aws:eks:NodeGroup a",)


def test_what_is_deleted_is_named() -> None:
    seen = changes(preview(step("aws:s3/bucket:Bucket", "audit", "delete")).resources)
    assert seen.disruptive == ("delete aws:s3:Bucket audit",)


def test_kinds_are_named_as_the_engine_shows_them() -> None:
    assert kind_of("aws:ec2/launchTemplate:LaunchTemplate") == "aws:ec2:LaunchTemplate"
    assert (
        kind_of("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        == "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    )


def test_rules_count_the_resources_that_they_passed() -> None:
    found = verdict(
        preview(
            judged("image-digest", "image-tag"),
            judged("image-tag", failed=("image-digest",)),
            finding("image-digest", "By digest.\nno digest;\n  pin it\n", resource=urn(DEPLOYMENT, "server")),
        )
    )
    assert [(rule.rule, rule.passed, len(rule.violations)) for rule in found.rules] == [
        ("image-digest", 1, 1),
        ("image-tag", 2, 0),
    ]
    (violation,) = found.violations
    assert violation.resource == "kubernetes:apps/v1:Deployment server"
    assert violation.message == "no digest; pin it"
    assert found.packs == {"autoglm-platform": "0.0.1"}


def test_what_the_engine_repeats_counts_once() -> None:
    twice = finding("image-digest", "no digest", resource=urn(DEPLOYMENT, "server"))
    assert len(verdict(preview(twice, twice)).violations) == 1


def test_exemptions_and_advisories_do_not_block() -> None:
    found = verdict(
        preview(
            finding(
                "exemption",
                "An exemption is in use.\npod-host-path: plugin; of the node; until 2027-03-01",
                level="advisory",
                resource=urn("kubernetes:apps/v1:DaemonSet", "plugin"),
            ),
            finding("image-tag", "can't run policy 'image-tag' during preview", level="advisory"),
        )
    )
    assert found.violations == ()
    assert found.exemptions == (
        Exemption(
            "pod-host-path", "kubernetes:apps/v1:DaemonSet plugin", "plugin; of the node", "2027-03-01"
        ),
    )
    assert [one.rule for one in found.advisories] == ["image-tag"]


def test_secrets_are_no_part_of_the_configuration() -> None:
    assert preview(prelude({"p:a": "1", "p:b": "[secret]"})).config == {"p:a": "1"}


def test_an_engine_that_was_killed_leaves_what_it_had_got_to() -> None:
    cut = events.read(
        ['{"sequence": 0, "preludeEvent": {"config": {"p:a": "1"}}}\n', '{"sequence": 1, "resourceP']
    )
    assert cut.config == {"p:a": "1"}
    assert not cut.complete
    assert not preview(step(POOL, "a"), ended=False).complete
