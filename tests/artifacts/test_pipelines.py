"""The pipelines, judged by the tools that know them: without network and without an account."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import golang, paths
from toolchain.errors import ToolchainError

WORKFLOWS = sorted((paths.ROOT / ".github" / "workflows").glob("*.yml"))
GITLAB = paths.ROOT / ".gitlab-ci.yml"
SCRIPTS = sorted((paths.ROOT / ".ci").iterdir())
ACTIONLINT = Path(__file__).parent / "actionlint"


def _tool(name: str) -> str:
    """A command of the virtual environment, else of the machine."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed; `make test` installs requirements-dev.txt")
    return found


def _passes(command: list[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=paths.ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from its Go module: the package on PyPI downloads a release while it is installed."""
    command = tmp_path_factory.mktemp("actionlint") / "actionlint"
    try:
        go, environment = golang.go(), golang.environment()
    except ToolchainError as error:
        pytest.skip(f"Go cannot be had here: {error}")
    built = subprocess.run(
        [go, "build", "-o", command, "github.com/rhysd/actionlint/cmd/actionlint"],
        cwd=ACTIONLINT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"actionlint cannot be built here: {built.stderr.strip()[-300:]}")
    return command


def test_workflows_pass_actionlint(actionlint: Path) -> None:
    # With it: shellcheck judges every script within them.
    _passes([actionlint, "-shellcheck", _tool("shellcheck"), "-pyflakes", "", *WORKFLOWS])


def test_workflows_pass_zizmor() -> None:
    _passes([_tool("zizmor"), "--offline", "--no-progress", "--color=never", *WORKFLOWS])


def test_workflows_fit_githubs_schema() -> None:
    _passes([_tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *WORKFLOWS])


def test_the_gitlab_pipeline_fits_gitlabs_schema() -> None:
    command = [_tool("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci"]
    _passes([*command, "--data-transform", "gitlab-ci", GITLAB])


def test_scripts_pass_shellcheck() -> None:
    _passes([_tool("shellcheck"), "-x", *SCRIPTS])


def test_gitlab_scripts_pass_shellcheck(tmp_path: Path) -> None:
    for name, job in _gitlab_jobs().items():
        lines = [*job.get("script", []), *job.get("after_script", [])]
        script = tmp_path / f"{name.strip('.')}.sh"
        script.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
        _passes([_tool("shellcheck"), script])


def _loaded(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def _gitlab_jobs() -> dict[str, dict[str, Any]]:
    keywords = ("stages", "workflow", "default", "variables", "include")
    return {name: job for name, job in _loaded(GITLAB).items() if name not in keywords}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_by_digest_with_its_version(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_may_only_read_and_every_job_ends(file: Path) -> None:
    workflow = _loaded(file)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
    assert "secrets." not in file.read_text(encoding="utf-8")


def test_what_may_write_runs_no_code_of_a_pull_request() -> None:
    writing = {}
    for file in WORKFLOWS:
        workflow = _loaded(file)
        # YAML 1.1 reads the key `on` as true.
        triggers: Any = workflow.get("on", workflow.get(True))
        for name, job in workflow["jobs"].items():
            granted = {scope for scope, level in job.get("permissions", {}).items() if level == "write"}
            if granted:
                writing[f"{file.name} {name}"] = granted
                assert not {"pull_request", "pull_request_target"} & set(triggers)
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
                    if "workflow_run" in triggers:
                        assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"
    assert writing == {
        "verdict.yml comment": {"pull-requests"},
        "verdict.yml code-scanning": {"security-events"},
        "drift.yml judge": {"id-token"},
    }


def test_both_forges_judge_the_same_stacks_in_the_same_way() -> None:
    command = 'make verdict STACKS="staging prod onprem" VERDICT=verdict'
    (job,) = _loaded(paths.ROOT / ".github" / "workflows" / "preview.yml")["jobs"].values()
    assert any(step.get("run") == command for step in job["steps"])
    assert command in _gitlab_jobs()["verdict"]["script"]


def test_prod_waits_for_a_person_and_for_everything_before_it() -> None:
    prod = _gitlab_jobs()["prod"]
    (rule,) = prod["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False)
    assert prod["needs"] == ["test", "verdict", "staging"]
    assert prod["environment"]["name"] == prod["resource_group"] == "prod"
    assert _gitlab_jobs()[".deploy"]["interruptible"] is False


def test_no_update_goes_without_its_preview() -> None:
    for file in (*WORKFLOWS, GITLAB, *SCRIPTS, paths.ROOT / "Makefile"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"skip-preview|pulumi up .*(-f\b|--force)", text), file


def test_images_of_the_gitlab_pipeline_are_variables() -> None:
    document = _loaded(GITLAB)
    images = [document["default"]["image"], *(j["image"] for j in _gitlab_jobs().values() if "image" in j)]
    assert len(images) == 3
    assert all(image.startswith("$") for image in images)
