"""docs/policies.md, the levels files and what the pack may import."""

from __future__ import annotations

import ast
import datetime
import json
import sys
from pathlib import Path

import jsonschema
import pytest

from policies import documentation, levels
from policies.catalogue import ALL

ROOT = Path(__file__).resolve().parents[2]


def test_documentation_is_current() -> None:
    written = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    assert written == documentation.markdown(), "run `python -m policies.documentation`"


def test_levels_beside_the_pack_are_right() -> None:
    files = levels.files()
    assert {file.stem for file in files} >= {"dev", "staging", "prod", "onprem"}
    levels.check(files, ALL, datetime.datetime.now(datetime.UTC).date())
    schema = json.loads((levels.FOLDER / "schema.json").read_text(encoding="utf-8"))
    for file in files:
        jsonschema.validate(json.loads(file.read_text(encoding="utf-8")), schema)


def test_levels_beside_the_pack_lower_no_rule() -> None:
    for file in levels.files():
        for key, value in json.loads(file.read_text(encoding="utf-8")).items():
            assert value == "mandatory" or "enforcementLevel" not in value, (file.name, key)


def test_schema_of_levels_is_current() -> None:
    written = (levels.FOLDER / "schema.json").read_text(encoding="utf-8")
    assert written == documentation.schema_text(), "run `python -m policies.documentation`"


@pytest.mark.parametrize("content", [{"imagedigest": "mandatory"}, {"image-digest": "disabled"}, []])
def test_the_schema_refuses_what_the_pack_refuses(content: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, levels.schema(ALL))
    assert levels.parse(content, ALL, datetime.date(2026, 6, 1))[1]


@pytest.mark.parametrize("text", ["{", "[]", '{"imagedigest": "mandatory"}'])
def test_a_wrong_file_beside_the_pack_keeps_it_from_starting(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prod.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(levels.LevelsError, match=r"prod\.json: "):
        levels.check([file], ALL, datetime.date(2026, 6, 1))


def test_the_pack_needs_nothing_else_of_this_repository() -> None:
    for file in (ROOT / "policies").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert roots <= {
                "policies",
                "pulumi",
                "pulumi_policy",
                "grpc",
                "google",
                *sys.stdlib_module_names,
            }, file.name
