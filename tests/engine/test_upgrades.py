"""The real engine on recorded stacks in clouds, whole: what a change makes, deletes and leaves alone.

The plan-only plugin knows no schema, so it never reports a replacement. What must not be replaced must
therefore not change at all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from stacks.files import parse_sections
from tests.engine.conftest import Project, create_project
from tests.engine.recorded import (
    changes,
    dependency_visits,
    install_plan_plugin,
    name_of,
    needed_by,
    record_preview,
    recorded_resources,
    type_of,
)
from toolchain import paths

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_PROJECT = "autoglm-platform"
_PROGRAM = f"""
import runpy
import sys
sys.path.insert(0, {str(paths.ROOT)!r})
runpy.run_path({str(paths.ROOT / "__main__.py")!r}, run_name="__main__")
"""
Sections = dict[str, Any]
MOST_VISITS = 10_000_000
"""How many steps the engine may need to find what a resource depends on. It looks twice for each deletion
that fails: at half a microsecond for a step, ten seconds of one CPU."""


@dataclass(frozen=True)
class Cloud:
    """A stack, and where its pools lie."""

    stack: str
    provider: str
    pool: str
    """Name of the pool of the models."""
    larger: str
    """Machine type with at least as much of everything as the pool's."""
    spare: str
    """Pool that no model needs."""
    group: str
    """Type of a group of nodes."""


CLOUDS = (
    Cloud("prod", "aws", "l40s", "g6e.4xlarge", "h100", "aws:eks/nodeGroup:NodeGroup"),
    Cloud("staging", "gcp", "l4", "g2-standard-48", "v6e", "gcp:container/nodePool:NodePool"),
)

OF_ONE_POOL = {
    "autoglm:eks:NodeGroup",
    "aws:autoscaling/tag:Tag",
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:ec2/placementGroup:PlacementGroup",
    "aws:eks/nodeGroup:NodeGroup",
    "gcp:container/nodePool:NodePool",
}
"""Types that belong to one group of nodes."""
FOLLOWS_PODS = {"kubernetes:apps/v1:Deployment"}
"""Types that change in place with where pods may run."""
FOLLOWS_NODES = {
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:LimitRange",
    "kubernetes:core/v1:ResourceQuota",
    "kubernetes:monitoring.coreos.com/v1:Prometheus",
}
"""Types that change in place with the nodes: settings of reports, which know what nodes cost, and Prometheus,
which is as large as what it watches."""

GUARDS = {
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:ec2/flowLog:FlowLog",
    "aws:efs/backupPolicy:BackupPolicy",
    "aws:efs/fileSystemPolicy:FileSystemPolicy",
    "aws:kms/alias:Alias",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketVersioning:BucketVersioning",
    "gcp:compute/firewall:Firewall",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig",
}
"""Types without which what is protected would be open, unreadable or unwatched."""


@dataclass(frozen=True)
class Deployed:
    """A stack whose update has ended."""

    cloud: Cloud
    project: Project
    sections: Sections

    def changed(self, change: Callable[[Sections], None]) -> list[tuple[str, str]]:
        """What an update with changed settings would do, in its order."""
        sections = copy.deepcopy(self.sections)
        change(sections)
        settings = self.project.root / f"Pulumi.{self.cloud.stack}.yaml"
        before = settings.read_text()
        document = yaml.safe_load(before)
        document["config"] = {f"{_PROJECT}:{key}": value for key, value in sections.items()}
        try:
            settings.write_text(yaml.safe_dump(document))
            return changes(self.project)
        finally:
            settings.write_text(before)

    @property
    def protected(self) -> set[str]:
        """URNs of what cannot be deleted."""
        return {item["urn"] for item in recorded_resources(self.project) if item.get("protect")}


@pytest.fixture(scope="module", params=CLOUDS, ids=lambda cloud: cloud.stack)
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: Any, plan_plugin: Any
) -> Deployed:
    cloud: Cloud = request.param
    settings = (paths.ROOT / f"Pulumi.{cloud.stack}.yaml").read_text(encoding="utf-8")
    made = create_project(
        tmp_path_factory.mktemp(cloud.stack),
        engine,
        _PROGRAM,
        name=_PROJECT,
        stack=cloud.stack,
        settings=settings,
    )
    install_plan_plugin(made, plan_plugin, cloud.provider, "kubernetes")
    record_preview(made)
    return Deployed(cloud, made, parse_sections(settings, f"Pulumi.{cloud.stack}.yaml"))


def pool_of(sections: Sections, name: str) -> dict[str, Any]:
    (found,) = [pool for pool in sections["cluster"]["nodePools"] if pool["name"] == name]
    assert isinstance(found, dict)
    return found


def types(steps: list[tuple[str, str]], operation: str) -> set[str]:
    return {type_of(urn) for op, urn in steps if op == operation}


def test_unchanged_settings_change_nothing(deployed: Deployed) -> None:
    assert changes(deployed.project) == []
    assert len(deployed.protected) >= 15


def test_f56_a_reshaped_pool_is_made_before_the_old_one_is_deleted(deployed: Deployed) -> None:
    cloud = deployed.cloud

    def reshape(sections: Sections) -> None:
        pool = pool_of(sections, cloud.pool)
        pool["machineType"] = cloud.larger
        pool["taints"] = [{"key": "dedicated", "value": "agents", "effect": "NoSchedule"}]

    steps = deployed.changed(reshape)
    # Nothing is replaced, and what holds data or guards it is not even touched.
    assert {op for op, _ in steps} == {"create", "update", "delete"}
    assert [name_of(urn) for _, urn in steps if urn in deployed.protected] == []
    assert types(steps, "create") == types(steps, "delete")
    assert cloud.group in types(steps, "create") <= OF_ONE_POOL
    assert FOLLOWS_PODS <= types(steps, "update") <= FOLLOWS_PODS | FOLLOWS_NODES
    # The new nodes are there, and pods may run on them, before the old ones go.
    operations = [op for op, _ in steps]
    assert operations.index("delete") > max(
        index for index, operation in enumerate(operations) if operation != "delete"
    )


def test_f56_bounds_and_labels_change_in_place_and_a_pool_goes_alone(deployed: Deployed) -> None:
    cloud = deployed.cloud

    def change(sections: Sections) -> None:
        pool = pool_of(sections, cloud.pool)
        pool["maxNodes"] += 1
        pool["labels"] = {"team": "others"}
        sections["cluster"]["nodePools"].remove(pool_of(sections, cloud.spare))

    steps = deployed.changed(change)
    assert {op for op, _ in steps} == {"update", "delete"}
    # In the cluster, what watches the nodes follows their number.
    (updated,) = [urn for op, urn in steps if op == "update" and not type_of(urn).startswith("kubernetes:")]
    assert (type_of(updated), cloud.pool in name_of(updated)) == (cloud.group, True)
    assert cloud.group in types(steps, "delete") <= OF_ONE_POOL
    assert all(cloud.spare in name_of(urn) for op, urn in steps if op == "delete")


def test_f55_destroying_the_stack_is_refused_as_a_whole(deployed: Deployed) -> None:
    before = recorded_resources(deployed.project)
    done = deployed.project.pulumi("destroy", "--yes")
    assert done.returncode != 0
    assert "cannot be deleted" in done.stdout
    assert recorded_resources(deployed.project) == before


def test_a_deletion_that_fails_does_not_keep_the_engine_busy(deployed: Deployed) -> None:
    # One resource more between others multiplies the paths: without care they are billions.
    resources = recorded_resources(deployed.project)
    visits = dependency_visits(resources)
    most = max(visits, key=visits.__getitem__)
    assert len(visits) > 200
    assert visits[most] <= MOST_VISITS, name_of(most)


def test_f55_a_forced_destroy_leaves_what_guards_data(deployed: Deployed) -> None:
    # `destroy --skip-preview` goes from dependents to what they need, and stops at what is protected: pods
    # go, but not the nodes, as long as there are volumes in the cluster.
    resources = recorded_resources(deployed.project)
    out_of_reach = set(_needed_by_protected(resources))
    taken = {item["urn"] for item in resources if not item.get("protect")} - out_of_reach
    types_taken = {type_of(urn) for urn in taken}
    assert "kubernetes:apps/v1:Deployment" in types_taken
    assert deployed.cloud.group not in types_taken
    guards = {item["urn"] for item in resources if item["type"] in GUARDS or _lets_decrypt(item)}
    assert len(guards) > 10
    assert sorted(taken & guards) == []


def _lets_decrypt(resource: dict[str, Any]) -> bool:
    """Whether it gives the use of a key to the service that encrypts with it."""
    return (
        resource["type"] == "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
        and resource["inputs"]["role"] == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    )


def _needed_by_protected(resources: list[dict[str, Any]]) -> Iterator[str]:
    """URNs of what cannot be deleted before something that is protected."""
    known = {item["urn"]: item for item in resources}
    waiting = [item for item in resources if item.get("protect")]
    seen: set[str] = set()
    while waiting:
        item = waiting.pop()
        for urn in needed_by(item):
            if urn in known and urn not in seen:
                seen.add(urn)
                waiting.append(known[urn])
                yield urn
