"""The committed stacks and the generated reference are current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from components.model_server.vllm import supported_versions
from stacks.load import load_settings
from stacks.plan import plan_platform
from stacks.platform import ROOT
from stacks.schema import PROJECT, REFERENCE_FILE, SCHEMA_FILE, json_schema, reference
from stacks.settings.images import RegistryImages
from stacks.versions import load_versions
from tests.unit.examples import IMAGES

STACKS = sorted(ROOT.glob("Pulumi.*.yaml"))


def config(path: Path) -> dict[str, Any]:
    values = yaml.safe_load(path.read_text())["config"]
    return {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in values.items()
        if key.startswith(f"{PROJECT}:")
    }


def test_the_projects_name_is_the_settings_namespace() -> None:
    assert yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"] == PROJECT


def test_the_json_schema_is_current() -> None:
    assert (ROOT / SCHEMA_FILE).read_text() == json_schema(), "run: python -m stacks.schema"


def test_the_reference_is_current() -> None:
    assert (ROOT / REFERENCE_FILE).read_text() == reference(), "run: python -m stacks.schema"


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_a_stack_meets_the_json_schema(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), yaml.safe_load(json_schema()))


@pytest.mark.skipif(not supported_versions(), reason="no catalogue of vLLM's flags is committed")
@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_a_stack_can_be_planned(path: Path) -> None:
    settings = load_settings(config(path), path.name)
    images = settings.images.references if isinstance(settings.images, RegistryImages) else IMAGES
    stack = path.name.split(".")[1]
    assert plan_platform(settings, load_versions(ROOT), images, stack, path.name).models


def test_dev_serves_with_the_flags_of_autoglm_phone_9b() -> None:
    flags = config(ROOT / "Pulumi.dev.yaml")["models"][0]["engine"]["flags"]
    # README of zai-org/Open-AutoGLM, "vLLM".
    assert (
        flags.items()
        >= {
            "mmEncoderTpMode": "data",
            "mmProcessorCacheType": "shm",
            "mmProcessorKwargs": {"max_pixels": 5000000},
            "maxModelLen": 25480,
            "chatTemplateContentFormat": "string",
            "limitMmPerPrompt": {"image": 10},
        }.items()
    )
