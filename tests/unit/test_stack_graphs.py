"""What previews of the committed cloud stacks register: whole graphs for review, and what holds for all."""

from __future__ import annotations

import json

import pytest
from pulumi.runtime.rpc import UNKNOWN
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.unit.graph import Registration
from tests.unit.stack_graphs import CLOUD_STACKS, stack_graph

_PROVIDERS = "pulumi:providers:"


@pytest.fixture(scope="module", params=CLOUD_STACKS)
def graph(request: pytest.FixtureRequest) -> list[Registration]:
    return stack_graph(request.param)[0]


def resources(graph: list[Registration]) -> list[Registration]:
    """Everything that a provider makes."""
    return [item for item in graph if not item.type.startswith(("autoglm:", "pulumi:"))]


@pytest.mark.parametrize("stack", CLOUD_STACKS)
def test_the_registered_graph(stack: str, snapshot: SnapshotAssertion) -> None:
    registrations, _ = stack_graph(stack)
    document = {f"{item.type} {item.name}": item.snapshot() for item in registrations}
    assert document == snapshot(extension_class=JSONSnapshotExtension)


def test_names_are_unique_within_a_type(graph: list[Registration]) -> None:
    names = [(item.type, item.name) for item in graph]
    assert len(names) == len(set(names))


def test_every_resource_has_an_explicit_provider(graph: list[Registration]) -> None:
    # An implicit one would take whatever account, project or cluster is current.
    assert [
        item.name for item in resources(graph) if "::default_" in item.provider or not item.provider
    ] == []


def test_every_resource_belongs_to_a_component(graph: list[Registration]) -> None:
    assert [
        item.name for item in resources(graph) if not item.parent or "autoglm-platform" in item.parent
    ] == []


def test_one_cluster_is_known_by_name_not_by_its_kubeconfig(graph: list[Registration]) -> None:
    (provider,) = [item for item in graph if item.type == f"{_PROVIDERS}kubernetes"]
    assert provider.inputs["clusterIdentifier"] == "test"
    assert provider.inputs["kubeconfig"] == UNKNOWN


def test_what_holds_data_is_protected_and_kept(graph: list[Registration]) -> None:
    kinds = {
        "aws:s3/bucket:Bucket",
        "aws:efs/fileSystem:FileSystem",
        "aws:kms/key:Key",
        "aws:eks/cluster:Cluster",
        "gcp:storage/bucket:Bucket",
        "gcp:kms/cryptoKey:CryptoKey",
        "gcp:container/cluster:Cluster",
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:Namespace",
    }
    holding = [item for item in graph if item.type in kinds]
    assert len({item.type for item in holding}) >= 5
    assert [f"{item.type} {item.name}" for item in holding if not item.protect] == []


def test_policies_find_known_values_in_every_object_of_the_cluster(graph: list[Registration]) -> None:
    objects = [item for item in graph if item.type.startswith("kubernetes:")]
    unknown = {item.name for item in objects if UNKNOWN in json.dumps(item.inputs)}
    # Ids that only the cloud can give, in parameters of storage classes that policies do not read.
    assert unknown <= {item.name for item in objects if item.kind == "StorageClass"}
