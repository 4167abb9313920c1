"""docs/policies.md, the levels files and what the pack may import."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from policies import documentation, enforcement
from policies.catalogue import IDS

ROOT = Path(__file__).resolve().parents[2]


def test_documentation_is_current() -> None:
    written = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    assert written == documentation.markdown(), "run `python -m policies.documentation > docs/policies.md`"


def test_levels_beside_the_pack_are_right_and_lower_nothing() -> None:
    files = enforcement.level_files()
    assert files
    enforcement.check(files, IDS)
    for file in files:
        assert json.loads(file.read_text(encoding="utf-8")) == {"all": "mandatory"}


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        ([], "not an object"),
        ({"imagedigest": "mandatory"}, "imagedigest: no such rule"),
        ({"image-digest": "optional"}, "image-digest: 'optional' is not a level"),
        ({"image-digest": 1}, "image-digest: 1 is not a level"),
        ({"image-digest": {"enforcementLevel": "mandatory", "resaon": "x"}}, "image-digest.resaon: unknown"),
        ({"image-digest": "disabled"}, "image-digest: lowered without a reason"),
        ({"image-digest": {"enforcementLevel": "advisory"}}, "image-digest: lowered without a reason"),
        ({"all": "advisory"}, "all: every rule is mandatory"),
    ],
)
def test_wrong_levels_are_refused(levels: object, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "prod.json"
    file.write_text(json.dumps(levels), encoding="utf-8")
    with pytest.raises(enforcement.LevelsError, match=r"prod\.json") as raised:
        enforcement.check([file], IDS)
    assert problem in str(raised.value)


def test_a_rule_can_be_lowered_with_a_reason() -> None:
    lowered = {"enforcementLevel": "advisory", "reason": "moves to v4 with the next release"}
    assert enforcement.problems({"all": "mandatory", "helm-release": lowered}, IDS) == []


def test_a_levels_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dev.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(enforcement.LevelsError, match=r"dev\.json: cannot be read"):
        enforcement.check([file], IDS)


def test_the_pack_needs_nothing_else_of_this_repository() -> None:
    for file in (ROOT / "policies").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert roots <= {"policies", "pulumi_policy", *sys.stdlib_module_names}, file.name
