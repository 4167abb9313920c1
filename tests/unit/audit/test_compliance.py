"""docs/compliance.md names only what exists, and leaves no requirement out that it promises to map."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from policies.catalogue import RULES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
ARTICLES = ("5(1)", "5(2)", "17", "25", "28", "30", "32(1)(a)", "32(1)(b)", "32(1)(c)", "32(1)(d)", "33")
CLAUSES = (
    *(
        "六个月",
        "网络架构",
        "通信传输",
        "可信验证",
        "边界防护",
        "身份鉴别",
        "访问控制",
        "安全审计",
        "入侵防范",
    ),
    *("恶意代码防范", "数据完整性", "数据保密性", "数据备份恢复", "剩余信息保护", "个人信息保护"),
    *("系统管理", "审计管理", "安全管理", "集中管控"),
)
_PATH = re.compile(r"`((?:apps|components|docs|policies|stacks|tests|toolchain)/[^`:]+)(?:::([^`]+))?`")
_RULES = re.compile(r"\brules? ((?:`[a-z-]+`(?:, | and )?)+)")


def rows(page: str) -> Iterator[list[str]]:
    """Cells of all tables, without their heads."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[1] != "met":
            yield cells


ROWS = list(rows(PAGE))


@cache
def functions(path: Path) -> frozenset[str]:
    """Functions of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(item.name for item in body if isinstance(item, ast.FunctionDef))


def missing(page: str) -> list[str]:
    """Files, tests and rules that a page names and that are not there."""
    found = []
    for path, test in _PATH.findall(page):
        file = ROOT / path
        if not file.is_file():
            found.append(path)
        elif test and test not in functions(file):
            found.append(f"{path}::{test}")
    known = {rule.id for rule in RULES}
    for names in _RULES.findall(page):
        found += [name for name in re.findall(r"`([a-z-]+)`", names) if name not in known]
    return found


def test_every_file_test_and_rule_that_is_named_exists() -> None:
    assert len(_PATH.findall(PAGE)) > 100
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "`components/audit/no_such_file.py`",
        "`tests/unit/audit/test_plan.py::test_that_nobody_wrote`",
        "rules `image-digest` and `image-gilded`",
    ],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    (found,) = missing(f"| requirement | yes | {wrong} | | |")
    assert found in wrong


@pytest.mark.parametrize("cells", ROWS, ids=lambda cells: cells[0])
def test_a_requirement_is_answered(cells: list[str]) -> None:
    requirement, met, by, shown, yours = cells
    assert met in ("yes", "partly", "no")
    files = [path for path, test in _PATH.findall(by) if not test]
    tests = [(path, test) for path, test in _PATH.findall(shown) if test.startswith("test_")]
    if met == "no":
        assert (by, shown) == ("–", "–")
        assert len(yours) > 5
    else:
        assert files, f"{requirement}: nothing implements it"
        assert tests, f"{requirement}: nothing shows it"
    if met == "partly":
        assert len(yours) > 5, f"{requirement}: what is missing?"


@pytest.mark.parametrize("wanted", [*ARTICLES, *CLAUSES])
def test_no_requirement_is_left_out(wanted: str) -> None:
    assert any(cells[0].startswith(wanted) if wanted in ARTICLES else wanted in cells[0] for cells in ROWS)
