"""Every input of every cloud resource is one that its provider takes."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness import sdk_types
from tests.harness.sdk_types import Leaf
from tests.unit.cloud import enumerations, graphs
from tests.unit.graph import Registration

EKS_POOL = "aws:eks/nodeGroup:NodeGroup"
GKE_POOL = "gcp:container/nodePool:NodePool"
SERVICE = "kubernetes:core/v1:Service"
SAMPLE_OF = {EKS_POOL: "aws-sample", GKE_POOL: "gcp-sample", SERVICE: "kubernetes-sample"}


def leaves(name: str) -> list[Leaf]:
    return [leaf for item in graphs.graph(name) for leaf in sdk_types.leaves(item)]


@pytest.mark.parametrize("name", graphs.PROGRAMS)
def test_inputs_have_the_names_and_types_of_the_sdk(name: str) -> None:
    assert [str(found) for item in graphs.graph(name) for found in sdk_types.findings(item)] == []


@pytest.mark.parametrize("name", graphs.PROGRAMS)
def test_enumerated_inputs_have_values_of_the_api(name: str) -> None:
    assert [wrong for leaf in leaves(name) if (wrong := enumerations.wrong_value(leaf))] == []


@pytest.mark.parametrize("name", graphs.PROGRAMS)
def test_every_input_that_looks_enumerated_is_checked(name: str) -> None:
    missing = {
        f"{leaf.type} {leaf.path}: {reason} (here {leaf.value!r})"
        for leaf in leaves(name)
        if not enumerations.is_covered(leaf) and (reason := enumerations.looks_enumerated(leaf))
    }
    assert sorted(missing) == []


def test_every_enumeration_exists_in_its_api() -> None:
    for place, allowed in enumerations.ENUMERATIONS.items():
        assert len(allowed.values) > 1 or allowed.name in enumerations.SINGLE, place


def test_every_checked_input_is_one_of_the_sdk() -> None:
    # A path with a slip of the pen would check nothing, for ever.
    for token, path in [*enumerations.ENUMERATIONS, *enumerations.FREE]:
        arguments: Any = sdk_types.arguments_class(sdk_types.resource_class(token))
        assert sdk_types.declared(arguments, path), f"{token} has no {path}"


def sample(token: str) -> Registration:
    (found,) = [item for item in graphs.graph(SAMPLE_OF[token]) if item.type == token]
    return found


def changed(token: str, change: Callable[[dict[str, Any]], None]) -> Registration:
    """The good example of a type, with one thing changed."""
    example = sample(token)
    inputs = copy.deepcopy(dict(example.inputs))
    change(inputs)
    return dataclasses.replace(example, inputs=inputs)


def _owner(inputs: dict[str, Any], path: str) -> tuple[Any, Any]:
    """What holds the value at a path such as `taints.0.effect`, and its key there."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = inputs
    for part in parents:
        target = target[part]
    return target, last


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(inputs: dict[str, Any]) -> None:
        target, key = _owner(inputs, path)
        target[key] = value

    return change


def drop(path: str) -> Callable[[dict[str, Any]], None]:
    def change(inputs: dict[str, Any]) -> None:
        target, key = _owner(inputs, path)
        del target[key]

    return change


@pytest.mark.parametrize(
    ("token", "change", "path", "message"),
    [
        (EKS_POOL, put("amiTypes", "x"), "amiTypes", "no such property of NodeGroupArgs"),
        (EKS_POOL, put("ami_type", "x"), "ami_type", "no such property of NodeGroupArgs; amiType?"),
        (
            EKS_POOL,
            put("scalingConfig.minimum", 1),
            "scalingConfig.minimum",
            "no such property of NodeGroupScalingConfigArgs",
        ),
        (
            EKS_POOL,
            put("scalingConfig.minSize", "1"),
            "scalingConfig.minSize",
            "a text, wants a whole number",
        ),
        (
            EKS_POOL,
            put("scalingConfig.minSize", 1.5),
            "scalingConfig.minSize",
            "a fraction, wants a whole number",
        ),
        (
            EKS_POOL,
            put("scalingConfig.minSize", True),
            "scalingConfig.minSize",
            "true or false, wants a whole number",
        ),
        (EKS_POOL, put("scalingConfig", [{}]), "scalingConfig", "a list, wants NodeGroupScalingConfigArgs"),
        (EKS_POOL, put("taints", {"key": "x"}), "taints", "an object, wants a list of NodeGroupTaintArgs"),
        (EKS_POOL, put("subnetIds", "subnet-1"), "subnetIds", "a text, wants a list of a text"),
        (EKS_POOL, put("subnetIds", [1]), "subnetIds[0]", "a whole number, wants a text"),
        (EKS_POOL, put("labels", ["x"]), "labels", "a list, wants a map of a text"),
        (EKS_POOL, put("labels", {"x": True}), "labels['x']", "true or false, wants a text"),
        (EKS_POOL, put("diskSize", "100"), "diskSize", "a text, wants a whole number"),
        (EKS_POOL, drop("nodeRoleArn"), "nodeRoleArn", "required by NodeGroupArgs, missing"),
        (EKS_POOL, drop("taints.0.effect"), "taints[0].effect", "required by NodeGroupTaintArgs, missing"),
        (
            GKE_POOL,
            put("nodeConfig.shieldedInstanceConfig", {"enableSecureBoot": "true"}),
            "nodeConfig.shieldedInstanceConfig.enableSecureBoot",
            "a text, wants true or false",
        ),
        (
            GKE_POOL,
            put("nodeConfig.guestAccelerators", {"type": "nvidia-l4"}),
            "nodeConfig.guestAccelerators",
            "an object, wants a list of NodePoolNodeConfigGuestAcceleratorArgs",
        ),
        (SERVICE, put("spec.ports.0.port", "443"), "spec.ports[0].port", "a text, wants a whole number"),
        (SERVICE, put("spec.selectors", {}), "spec.selectors", "no such property of ServiceSpecArgs"),
        (SERVICE, drop("spec.ports.0.port"), "spec.ports[0].port", "required by ServicePortArgs, missing"),
    ],
)
def test_a_wrong_name_or_type_is_found_and_named(
    token: str, change: Callable[[dict[str, Any]], None], path: str, message: str
) -> None:
    (found,) = sdk_types.findings(changed(token, change))
    assert (found.path, found.message) == (path, message)
    assert found.resource == f"{token} {sample(token).name}"


@pytest.mark.parametrize(
    ("token", "path", "value", "source"),
    [
        (EKS_POOL, "amiType", "AL2023_x86_64_GPU", "botocore eks.AMITypes"),
        (EKS_POOL, "capacityType", "on-demand", "botocore eks.CapacityTypes"),
        (EKS_POOL, "taints.0.effect", "NoSchedule", "botocore eks.TaintEffect"),
        (EKS_POOL, "instanceTypes.0", "p5.49xlarge", "botocore ec2.InstanceType"),
        (
            GKE_POOL,
            "nodeConfig.guestAccelerators.0.gpuDriverInstallationConfig.gpuDriverVersion",
            "NEWEST",
            "container.v1 GPUDriverInstallationConfig.gpuDriverVersion",
        ),
        (
            GKE_POOL,
            "nodeConfig.workloadMetadataConfig.mode",
            "GKE",
            "container.v1 WorkloadMetadataConfig.mode",
        ),
        (SERVICE, "spec.type", "Loadbalancer", None),
    ],
)
def test_a_value_that_the_api_does_not_have_is_found_and_named(
    token: str, path: str, value: str, source: str | None
) -> None:
    item = changed(token, put(path, value))
    assert sdk_types.findings(item) == []
    (wrong,) = [wrong for leaf in sdk_types.leaves(item) if (wrong := enumerations.wrong_value(leaf))]
    assert wrong.startswith(f"{token} {item.name}: ")
    assert wrong.endswith(
        f"{value!r} is none of {source}" if source else f"{value!r} is not in its documentation"
    )


def test_an_enumeration_that_nobody_mapped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    place = (EKS_POOL, "amiType")
    left = {key: value for key, value in enumerations.ENUMERATIONS.items() if key != place}
    monkeypatch.setattr(enumerations, "ENUMERATIONS", left)
    (leaf,) = [leaf for leaf in leaves("aws-sample") if (leaf.type, leaf.path) == place]
    assert not enumerations.is_covered(leaf)
    assert enumerations.looks_enumerated(leaf) == "its documentation lists values"


def test_unknown_and_secret_values_are_left_alone() -> None:
    secret = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "value": "arn:aws:iam::111122223333:role/x",
    }
    assert sdk_types.findings(changed(EKS_POOL, put("nodeRoleArn", secret))) == []
    assert (
        sdk_types.findings(changed(EKS_POOL, put("scalingConfig", "04da6b54-80e4-46f7-96ec-b56ff0331ba9")))
        == []
    )


def test_a_deprecated_input_is_found() -> None:
    (bucket,) = [item for item in graphs.graph("aws-sample") if item.type == "aws:s3/bucket:Bucket"]
    with warnings.catch_warnings(action="error"):
        (found,) = sdk_types.findings(dataclasses.replace(bucket, inputs={**bucket.inputs, "acl": "private"}))
    assert found.path == "acl"
    assert "deprecated" in found.message


@pytest.mark.parametrize("token", ["aws:eks/nodePool:NodePool", "kubernetes:apps/v2:Deployment"])
def test_a_type_that_no_sdk_has_is_found(token: str) -> None:
    (found,) = sdk_types.findings(dataclasses.replace(sample(EKS_POOL), type=token))
    assert "no installed SDK has this type" in found.message


def test_custom_resources_are_left_to_their_own_definitions() -> None:
    assert (
        sdk_types.findings(dataclasses.replace(sample(EKS_POOL), type="kubernetes:example.com/v1:Own")) == []
    )
