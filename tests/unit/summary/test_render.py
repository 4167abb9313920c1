"""The summary reads well on terminals and in comments, and its JSON holds everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stacks.summary import __main__ as command
from stacks.summary import render
from stacks.summary.images import images
from stacks.summary.report import PROJECT, Summary, summarize
from tests.unit.stack_graphs import raw_stack
from tests.unit.summary.log import finding, judged, prelude, preview, step, urn
from toolchain import paths

SERVER = "kubernetes:apps/v1:Deployment"
ZEROS = f"registry.example/vllm:0.32.0@sha256:{'0' * 64}"
PINNED = f"registry.example/weights:0.1.0@sha256:{'a' * 64}"


def pod(*references: str) -> dict[str, object]:
    containers = [{"name": str(number), "image": image} for number, image in enumerate(references)]
    return {"template": {"spec": {"initContainers": containers[:1], "containers": containers[1:]}}}


def summary() -> Summary:
    return summarize(
        "prod",
        preview(
            step(SERVER, "phone", spec=pod(PINNED, ZEROS)),
            step("kubernetes:core/v1:Service", "entry", metadata={}, spec={"type": "LoadBalancer"}),
            judged("image-digest"),
            judged(failed=("service-load-balancer-internal",)),
            finding(
                "service-load-balancer-internal",
                "spec.type: is | LoadBalancer <b>; ping @everyone; use `ClusterIP`",
                resource=urn("kubernetes:core/v1:Service", "entry"),
            ),
        ),
        paths.ROOT,
    )


def test_images_of_all_containers_are_told_with_their_pins() -> None:
    found = images(
        preview(
            step(SERVER, "phone", spec=pod(PINNED, ZEROS)),
            step(
                "kubernetes:batch/v1:CronJob",
                "backup",
                spec={"jobTemplate": {"spec": pod(PINNED, "etcd:3.6")}},
            ),
            step(SERVER, "old", "delete", spec=pod("gone:1", "gone:2")),
        ).resources
    )
    assert [(image.reference, image.workloads, image.pinned, image.placeholder) for image in found] == [
        ("etcd:3.6", ("backup",), False, False),
        (ZEROS, ("phone",), True, True),
        (PINNED, ("backup", "phone"), True, False),
    ]


def test_a_terminal_ends_with_the_verdict() -> None:
    lines = render.text(summary()).splitlines()
    assert lines[0] == "Summary of stack prod"
    assert lines[-2:] == ["Verdict", "  Refused by policy: 1 violation."]
    assert any("PUBLIC" in line and "everyone" in line for line in lines)
    assert any("image-digest 1" in line for line in lines)
    assert max(len(line) for line in lines if "sha256" not in line) <= render.WIDTH + 40


def test_a_comment_begins_with_the_verdict_and_stays_inside_its_cells() -> None:
    text = render.markdown(summary())
    assert text.index("### Verdict") < text.index("### Resources")
    (row,) = [line for line in text.splitlines() if line.startswith("| service") and "entry" in line]
    assert row.count(" | ") == 3
    assert "<b>" not in row
    assert "@everyone" not in row


def test_json_holds_what_the_tables_hold() -> None:
    document = json.loads(render.as_json(summary()))
    assert document["version"] == render.FORMAT_VERSION
    assert document["stack"] == "prod"
    assert [kind["kind"] for kind in document["changes"]["kinds"]] == [
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Service",
    ]
    assert document["verdict"]["violations"][0]["rule"] == "service-load-balancer-internal"
    assert document["exposures"][0]["reach"] == "public"
    assert {image["reference"] for image in document["images"]} == {ZEROS, PINNED}


def test_a_refused_program_is_told_as_such() -> None:
    refused = summarize(
        "prod",
        preview(
            {"diagnosticEvent": {"severity": "error", "message": "<{%reset%}>settings refused:\n x: y"}},
            {"diagnosticEvent": {"severity": "error", "message": "preview failed"}},
            ended=False,
        ),
        paths.ROOT,
    )
    lines = render.text(refused).splitlines()
    assert lines[-2:] == [
        "  The preview failed; what is listed is as far as it got.",
        "  Error: settings refused: x: y",
    ]


def test_files_are_written_in_the_form_of_their_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", [])
    files = [tmp_path / "deep" / f"summary{suffix}" for suffix in render.RENDERERS]
    assert command.main(["--stack", "prod", *(f"--output={file}" for file in files)]) == 0
    assert capsys.readouterr().out.startswith("Summary of stack prod")
    assert [file.read_text()[:1] for file in files] == ["S", "#", "{"]


def test_an_unknown_form_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--stack", "prod", f"--output={tmp_path}/summary.html"])
    assert "use one of .txt, .md, .json" in capsys.readouterr().err


def test_charts_of_the_plan_are_told_by_version_and_digest() -> None:
    config = {
        f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in raw_stack("onprem").items()
    }
    found = summarize("onprem", preview(prelude(config), step(SERVER, "phone", spec=pod(PINNED))), paths.ROOT)
    assert ("cert-manager", "v1.21.0") in [(chart.release, chart.version) for chart in found.charts]
    (line,) = [line for line in render.text(found).splitlines() if line.lstrip().startswith("cert-manager ")]
    assert "v1.21.0" in line
    assert f"/charts/cert-manager@sha256:{'0' * 64}" in line
    assert "Charts: none." not in render.text(found)
    assert "Charts: none." in render.text(summary())
