"""The program as Pulumi runs it: settings from configuration, refusals before any resource."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.config import set_all_config
from pulumi.runtime.rpc import UNKNOWN

from stacks import model_plan as planning
from stacks.platform import ROOT, build_stack
from tests.unit.examples import CATALOGUE, IMAGES, raw
from tests.unit.graph import Registration, record


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(planning, "load_catalogue", lambda _: CATALOGUE)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    yield
    set_all_config({}, [])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with images but no cluster."""
    (tmp_path / "versions.yaml").write_text((ROOT / "versions.yaml").read_text())
    (tmp_path / ".toolchain").mkdir()
    images = {name: {"reference": reference, "version": "1"} for name, reference in IMAGES.items()}
    (tmp_path / ".toolchain" / "images.json").write_text(json.dumps({"images": images}))
    return tmp_path


def configure(changes: dict[str, Any] | None = None, secret: list[str] | None = None) -> None:
    sections = {
        f"autoglm-platform:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in raw(changes).items()
    }
    set_all_config(sections | {"kubernetes:foo": "bar"}, secret)


def run(project: Path, *, preview: bool = False) -> list[Registration]:
    return record(lambda: build_stack(project).outputs, preview=preview)[0]


def kubeconfig(project: Path) -> Path:
    path = project / ".toolchain" / "kubeconfig"
    path.write_text("apiVersion: v1\nkind: Config\n")
    return path


def provider(registrations: list[Registration]) -> Registration:
    (found,) = [item for item in registrations if item.type == "pulumi:providers:kubernetes"]
    return found


def test_the_stack_is_built(project: Path) -> None:
    configure()
    kubeconfig(project)
    registrations = run(project)
    assert provider(registrations).inputs["kubeconfig"] == ".toolchain/kubeconfig"
    assert provider(registrations).inputs["enableServerSideApply"] == "true"
    assert any(item.kind == "Deployment" for item in registrations)


def test_kubeconfig_of_the_environment_comes_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    kubeconfig(project)
    own = project / "own"
    own.write_text("apiVersion: v1\n")
    monkeypatch.setenv("KUBECONFIG", f"/does/not/exist:{own}")
    assert provider(run(project)).inputs["kubeconfig"] == "own"


def test_a_preview_needs_no_cluster_and_leaves_nothing_unknown_that_a_policy_reads(project: Path) -> None:
    configure()
    registrations, _ = record(lambda: build_stack(project).outputs, preview=True, configured=False)
    objects = [item for item in registrations if item.type.startswith("kubernetes:")]
    assert any(item.kind == "Deployment" for item in objects)
    assert not [item.name for item in objects if UNKNOWN in json.dumps(item.inputs)]
    assert provider(registrations).inputs["kubeconfig"] == UNKNOWN


def test_an_update_without_a_cluster_says_how_to_get_one(project: Path) -> None:
    configure()
    with pytest.raises(
        pulumi.RunError, match=r"cluster.kubeconfig: .* start the embedded cluster with `make up`"
    ):
        run(project)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"models[0].replica": 1},
            "Pulumi.test.yaml: models[0].replica: unknown key; did you mean replicas?",
        ),
        ({"models[0].resources.memory": "6GB"}, "'6GB' is not a Kubernetes quantity; write 6Gi"),
        ({"models[0].weights.size": "64Gi"}, "models[0].resources.memory: 6Gi: the model needs"),
        ({"models[0].sha256Sums": "12  f"}, "models[0].sha256Sums: line 1: '12'"),
    ],
)
def test_bad_settings_end_the_program_before_any_resource(
    project: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(changes)
    kubeconfig(project)
    registered: list[object] = []
    monkeypatch.setattr(pulumi.Resource, "__init__", lambda *args, **_: registered.append(args))
    with pytest.raises(pulumi.RunError) as refused:
        run(project)
    assert message in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert registered == []


def test_a_secret_section_is_refused_without_its_value(project: Path) -> None:
    configure({"dataProtection": "canary-value"}, ["autoglm-platform:dataProtection"])
    with pytest.raises(pulumi.RunError, match="dataProtection: contains a secret") as refused:
        run(project)
    assert "canary-value" not in str(refused.value)


def test_missing_images_and_other_problems_are_told_together(project: Path) -> None:
    (project / ".toolchain" / "images.json").unlink()
    configure({"models[0].revision": "latest"})
    with pytest.raises(pulumi.RunError) as refused:
        run(project)
    assert "images.file" in str(refused.value)
    assert "models[0].revision" in str(refused.value)


def test_the_entry_file_stays_small() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 30
