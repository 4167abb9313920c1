"""A stack's file as it lies in the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.files import parse_sections, stack_sections
from stacks.problems import SettingsError


def test_sections_are_those_of_our_namespace(tmp_path: Path) -> None:
    config = "  aws:region: eu-central-1\n  autoglm-platform:tenant: {namespace: a}\n"
    text = f"encryptionsalt: v1:a\nconfig:\n{config}"
    (tmp_path / "Pulumi.x.yaml").write_text(text, encoding="utf-8")
    assert stack_sections("x", tmp_path) == {"tenant": {"namespace": "a"}}


@pytest.mark.parametrize("text", ["", "[]", "config:", "config: []", "encryptionsalt: v1:a", "config: {a: ["])
def test_what_is_no_stack_file_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^Pulumi\.x\.yaml: "):
        parse_sections(text, "Pulumi.x.yaml")


def test_a_stack_without_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stack_sections("x", tmp_path)
