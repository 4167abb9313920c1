"""What AppImage registers, and when it gives its reference out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_docker as docker
import pytest

from components.container_image.component import AppImage, AppImageArgs, UnexpectedDigestError, check_digest
from components.container_image.plan import build_arguments, source_tag
from tests.harness import sdk_types
from tests.unit import graph as harness
from tests.unit.container_image.test_plan import BUILD, DIGEST, ECR, ROOT
from tests.unit.graph import Registration, record

REFERENCE = f"{ECR}/weights:0.1.0@{DIGEST}"
OTHER = f"sha256:{'f' * 64}"
ARGS = AppImageArgs("weights", {"weights": REFERENCE}, BUILD, ROOT)
TAG = source_tag(ROOT, "weights", "linux/amd64", {"BASE": BUILD.base})


def build(*, preview: bool = False, args: AppImageArgs = ARGS) -> tuple[list[Registration], Any]:
    def program() -> pulumi.Output[str]:
        repository = aws.ecr.Repository("repository", opts=_with(aws.Provider("aws", region="eu-central-1")))
        opts = pulumi.ResourceOptions(providers=[docker.Provider("docker")], depends_on=[repository])
        return AppImage(f"{args.app}-image", args, opts).reference

    return record(program, preview=preview, configured=not preview)


def _with(provider: pulumi.ProviderResource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(provider=provider)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the registry answer with this digest."""
    made = harness._Mocks.new_resource

    def answering(digest: str) -> None:
        def with_digest(self: Any, args: Any) -> Any:
            identifier, outputs = made(self, args)
            if args.typ == "docker:index/image:Image":
                outputs["repoDigest"] = f"{ECR}/weights@{digest}"
            return identifier, outputs

        monkeypatch.setattr(harness._Mocks, "new_resource", with_digest)

    return answering


def image(graph: list[Registration]) -> Registration:
    (found,) = [item for item in graph if item.type == "docker:index/image:Image"]
    return found


def test_inputs_are_what_the_provider_takes() -> None:
    graph, _ = build(preview=True)
    assert [str(finding) for finding in sdk_types.findings(image(graph))] == []


def test_a_preview_builds_nothing_and_knows_the_reference() -> None:
    graph, reference = build(preview=True)
    assert image(graph).inputs["buildOnPreview"] is False
    assert reference == REFERENCE


def test_it_is_built_from_the_pinned_base_and_pushed_under_a_tag_that_follows_from_the_sources() -> None:
    inputs = image(build(preview=True)[0]).inputs
    assert inputs["imageName"] == f"{ECR}/weights:{TAG}"
    assert inputs["skipPush"] is False
    assert inputs["build"]["args"] == {"BASE": BUILD.base}
    assert inputs["build"]["platform"] == "linux/amd64"


def test_inputs_hold_no_path_of_the_machine_and_no_credentials() -> None:
    inputs = image(build(preview=True)[0]).inputs
    assert inputs["build"]["context"] == "apps/weights"
    assert inputs["build"]["dockerfile"] == "apps/weights/Dockerfile"
    assert str(ROOT) not in json.dumps(inputs)
    assert "registry" not in inputs


def test_etcds_tools_are_built_with_the_pinned_etcd_in_the_apps_own_folder() -> None:
    references = {"etcd-tools": f"{ECR}/etcd-tools@{DIGEST}", "etcd": f"{ECR}/etcd:3.6.8@{DIGEST}"}
    inputs = image(build(preview=True, args=AppImageArgs("etcd-tools", references, BUILD, ROOT))[0]).inputs
    assert inputs["build"]["context"] == "apps/etcd"
    assert inputs["build"]["dockerfile"] == "apps/etcd/Dockerfile"
    arguments = {"BASE": BUILD.base, "ETCD": references["etcd"]}
    assert inputs["build"]["args"] == arguments == build_arguments("etcd-tools", BUILD, references)
    assert (
        inputs["imageName"] == f"{ECR}/etcd-tools:{source_tag(ROOT, 'etcd-tools', 'linux/amd64', arguments)}"
    )


def test_the_repository_is_made_first() -> None:
    assert "repository" in image(build(preview=True)[0]).depends_on


def test_the_expected_digest_gives_the_reference_out(pushed: Any) -> None:
    pushed(DIGEST)
    assert build()[1] == REFERENCE


def test_another_digest_gives_nothing_out(pushed: Any) -> None:
    pushed(OTHER)
    with pytest.raises(UnexpectedDigestError):
        build()


def test_another_digest_says_which_line_to_write() -> None:
    with pytest.raises(UnexpectedDigestError) as refused:
        check_digest(f"{ECR}/weights@{OTHER}", ARGS)
    first, line = str(refused.value).splitlines()
    assert first.startswith(
        f"images.references.weights: {DIGEST} is pinned, but the build has been pushed as {OTHER}"
    )
    assert line.strip() == f"weights: {ECR}/weights:{TAG}@{OTHER}"
    name, _, reference = line.strip().partition(": ")
    assert name == "weights"
    check_digest(f"{ECR}/weights@{OTHER}", AppImageArgs("weights", {"weights": reference}, BUILD, Path(ROOT)))
