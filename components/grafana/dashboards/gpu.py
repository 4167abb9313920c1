"""NVIDIA GPUs, from DCGM exporter."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, Variable, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Limit,
    Query,
    Step,
    rows_of,
    single,
    time_series,
)
from components.grafana.dashboards.view import View

KEY: Final = "gpu"
_LEGEND: Final = "{{Hostname}} GPU {{gpu}}"
_BY: Final = "(Hostname, gpu)"
_WHERE: Final = '{Hostname=~"$node"}'
_PARTS: Final = tuple(f"DCGM_FI_DEV_FB_{part}{_WHERE}" for part in ("USED", "FREE", "RESERVED"))
_MEMORY: Final = f"max by {_BY} ({_PARTS[0]} / ({' + '.join(_PARTS)}))"
HOT: Final = 85
"""Degrees Celsius. Data-centre GPUs slow down from about 85 to 90 on (their data sheets: GPU slowdown)."""


def gpu(view: View) -> Dashboard:
    """GPUs of a stack."""
    return page(
        KEY,
        "GPU",
        "Use, memory, heat and faults of each GPU.",
        [_now(view), _course(view), _faults(view)],
        variables=(Variable("node", "Node", "label_values(DCGM_FI_DEV_GPU_UTIL, Hostname)"),),
    )


def _now(view: View) -> Section:
    limits = view.limits
    return Section(
        "Now",
        [
            single(
                view,
                "GPUs",
                units.NoUnit,
                Query(f"count(group by {_BY} (DCGM_FI_DEV_GPU_UTIL{_WHERE}))", "GPUs"),
                meaning=f"GPUs that DCGM sees; {view.stack.nvidia_gpus} are planned at most.",
            ),
            single(
                view,
                "Utilisation, mean",
                units.Percent,
                Query(f"avg(DCGM_FI_DEV_GPU_UTIL{_WHERE})", "mean"),
                meaning="Part of the time in which a GPU computed anything.",
                decimals=0,
            ),
            single(
                view,
                "Memory, fullest",
                units.PercentUnit,
                Query(f"max({_MEMORY})", "fullest"),
                meaning="Of the GPU with the least memory left. Engines set their share aside at start.",
                steps=(Step(None, BLUE), Step(limits.accelerator_memory_percent / 100, RED)),
                decimals=1,
                alert=view.alert("GpuMemoryHigh"),
            ),
            single(
                view,
                "Hottest",
                units.Celsius,
                Query(f"max(DCGM_FI_DEV_GPU_TEMP{_WHERE})", "hottest"),
                meaning="Of the hottest GPU.",
                steps=(Step(None, GREEN), Step(HOT, YELLOW)),
                decimals=0,
            ),
            single(
                view,
                "Power, all",
                units.Watt,
                Query(f"sum(DCGM_FI_DEV_POWER_USAGE{_WHERE})", "power"),
                meaning="What all GPUs draw together.",
                decimals=0,
            ),
            single(
                view,
                "XID errors, last day",
                units.NoUnit,
                Query(f"sum(increase(DCGM_EXP_XID_ERRORS_TOTAL{_WHERE}[1d])) or vector(0)", "errors"),
                meaning="Errors that the driver has seen of a GPU, or of a program on it.",
                steps=(Step(None, GREEN), Step(1, RED)),
                decimals=0,
                alert=view.alert("GpuXidError"),
                over_time=False,
            ),
        ],
        per_line=6,
        height=4,
    )


def _course(view: View) -> Section:
    return Section(
        "Over time",
        [
            time_series(
                view,
                "Utilisation",
                units.Percent,
                Query(f"max by {_BY} (DCGM_FI_DEV_GPU_UTIL{_WHERE})", _LEGEND),
                meaning="Part of the time in which the GPU computed anything; it says nothing of how much.",
                most=100,
            ),
            time_series(
                view,
                "Memory in use",
                units.PercentUnit,
                Query(_MEMORY, _LEGEND),
                meaning="Used, of used, free and reserved together.",
                limit=Limit(view.limits.accelerator_memory_percent / 100, view.alert("GpuMemoryHigh")),
                most=1,
            ),
            time_series(
                view,
                "Temperature",
                units.Celsius,
                Query(f"max by {_BY} (DCGM_FI_DEV_GPU_TEMP{_WHERE})", _LEGEND),
                meaning=f"A GPU that gets much hotter than {HOT} °C slows down.",
            ),
            time_series(
                view,
                "Power",
                units.Watt,
                Query(f"max by {_BY} (DCGM_FI_DEV_POWER_USAGE{_WHERE})", _LEGEND),
                meaning="What the GPU draws.",
            ),
        ],
        per_line=2,
    )


def _faults(view: View) -> Section:
    used = "sum by (Hostname, gpu, namespace, pod) (DCGM_FI_DEV_FB_USED" + _WHERE + ") * 1024 * 1024"
    return Section(
        "Faults and users",
        [
            time_series(
                view,
                "XID errors",
                units.Short,
                Query(
                    f"sum by (Hostname, gpu, xid) (increase(DCGM_EXP_XID_ERRORS_TOTAL{_WHERE}[10m]))",
                    f"{_LEGEND} XID {{{{xid}}}}",
                ),
                meaning="Within ten minutes, by code.",
                bars=True,
                runbooks=[view.alert("GpuXidError")],
            ),
            time_series(
                view,
                "Failed remapping of memory rows",
                units.Short,
                Query(f"max by {_BY} (DCGM_FI_DEV_ROW_REMAP_FAILURE{_WHERE})", _LEGEND),
                meaning="1: the GPU has memory that it could not replace, and is to be exchanged.",
            ),
            rows_of(
                "Memory by pod",
                units.BytesIEC,
                Query(used, ""),
                meaning="Which pod uses how much memory of which GPU.",
                columns={"Hostname": "Node", "gpu": "GPU", "namespace": "Namespace", "pod": "Pod"},
                value="Memory",
            ),
        ],
        per_line=3,
    )
