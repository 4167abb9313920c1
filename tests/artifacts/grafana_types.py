"""Grafana's own TypeScript types as a judge of dashboards.

`@grafana/schema` is published with each release of Grafana, made from the same definitions as its front end.
Each dashboard and each panel becomes a literal of the type that Grafana has for it: what the compiler does
not know, misses, or finds to be of another type, is a complaint. It says nothing of queries: those are judged
by their own tests.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.commands import run
from toolchain import artefacts
from toolchain.errors import ToolchainError

PACKAGES: Final = Path(__file__).parent / "grafana_schema"
_INSTALL_SECONDS: Final = 300
_JUDGE_SECONDS: Final = 300
_TYPES: Final = {
    "stat": "StatPanelCfg",
    "state-timeline": "StateTimelinePanelCfg",
    "table": "TablePanelCfg",
    "timeseries": "TimeSeriesPanelCfg",
}
"""Module of each kind of panel."""
_HEAD: Final = """
import type { Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
// In JSON, a member of an enumeration is its text.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Plain<U>> : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Fields<Custom> = Omit<FieldConfigSource, 'defaults'>
  & { defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> } };
type Of<Kind, Options, Custom> = Plain<Omit<Panel, 'type' | 'options' | 'fieldConfig'>
  & { type: Kind; options: Partial<Options>; fieldConfig: Fields<Custom> }>;
"""


def complaints(dashboards: Mapping[str, dict[str, Any]]) -> list[str]:
    """What Grafana's types say against dashboards; skips where they cannot be had."""
    root = _installed()
    lines = [_HEAD.strip()]
    for kind, module in _TYPES.items():
        folder = kind.replace("-", "")
        path = f"@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{module}_types.gen"
        lines.append(f"import type * as {folder} from '{path}';")
    places: dict[int, str] = {}
    for place, declaration in _declarations(dashboards):
        places[sum(line.count("\n") + 1 for line in lines) + 1] = place
        lines.append(declaration)
    file = root / f"judged-{artefacts.digest(*lines)}.ts"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        result = run(
            [
                *("node", root / "node_modules/typescript/bin/tsc", "--noEmit", "--strict"),
                *("--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"),
                *("--pretty", "false", file),
            ],
            timeout=_JUDGE_SECONDS,
        )
    finally:
        file.unlink()
    found = re.findall(r"^.+\.ts\((\d+),\d+\): error (TS\d+: .+)$", result.stdout, flags=re.MULTILINE)
    assert found or result.status == 0, result.stdout + result.stderr
    return [f"{places.get(int(line), f'line {line}')}: {message}" for line, message in found]


def _declarations(dashboards: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """A place in words, and the literal that stands for it."""
    number = 0
    for name, dashboard in dashboards.items():
        frame = {key: value for key, value in dashboard.items() if key != "panels"}
        yield name, f"const frame{number}: Plain<Omit<Dashboard, 'panels'>> = {_literal(frame)};"
        for panel in dashboard["panels"]:
            number += 1
            kind = panel["type"]
            folder = kind.replace("-", "")
            custom = f"{folder}.FieldConfig" if kind != "stat" else "Record<never, never>"
            wanted = "Plain<RowPanel>" if kind == "row" else f"Of<'{kind}', {folder}.Options, {custom}>"
            yield (
                f"{name}, panel {panel.get('title')!r}",
                f"const panel{number}: {wanted} = {_literal(panel)};",
            )
        number += 1


def _literal(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _installed() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Grafana's types need node and npm, which are not on PATH")
    try:
        return artefacts.ensure("grafana-types", artefacts.digest(PACKAGES), _install)
    except (ToolchainError, OSError, AssertionError) as error:
        pytest.skip(f"Grafana's types cannot be had: {error}")


def _install(target: Path) -> None:
    for file in PACKAGES.iterdir():
        shutil.copy2(file, target)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", target]
    run(command, timeout=_INSTALL_SECONDS).succeeded()
