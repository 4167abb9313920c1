"""Alerts on NVIDIA GPUs, from DCGM exporter."""

from __future__ import annotations

from typing import Final

from components.monitoring.durations import MINUTE
from components.monitoring.rule import AlertRule, Evidence, Level, RuleGroup, Series, Severity, level
from components.monitoring.settings import Monitoring
from components.monitoring.stack import DCGM_EXPORTER

AREA: Final = "accelerator"
COUNTERS: Final = (
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    ("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB)."),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of memory rows has failed."),
    ("DCGM_EXP_XID_ERRORS_TOTAL", "counter", "XID errors observed since the exporter's start."),
)
"""What DCGM exporter is to collect: name, kind, meaning. Reserved memory and the counter of XID errors are
not in its default list; the counter exists since 4.8 (NVIDIA/dcgm-exporter, xid_total_collector.go)."""
_GPU: Final = "(Hostname, gpu, modelName)"
_LABELS: Final = (
    f'job="{DCGM_EXPORTER}",Hostname="gpu-1",gpu="0",modelName="NVIDIA H100 80GB HBM3",UUID="GPU-0",'
    'device="nvidia0",pci_bus_id="00000000:00:04.0"'
)
_EXPECTED: Final = {"Hostname": "gpu-1", "gpu": "0", "modelName": "NVIDIA H100 80GB HBM3"}


def counters_file() -> str:
    """The list as DCGM exporter reads it (`--collectors`)."""
    return "".join(f"{name}, {kind}, {meaning}\n" for name, kind, meaning in COUNTERS)


def accelerators(settings: Monitoring) -> RuleGroup:
    """Alerts on GPUs."""
    return RuleGroup("accelerators", (), (_memory(settings.thresholds.accelerator_memory_percent), _xid()))


def _memory_samples(used: int) -> tuple[Series, ...]:
    return tuple(
        Series(f"DCGM_FI_DEV_FB_{part}{{{_LABELS}}}", level(mebibytes))
        for part, mebibytes in (("USED", used), ("FREE", 81_000 - used), ("RESERVED", 500))
    )


def _memory(percent: float) -> AlertRule:
    used, free, reserved = (f"DCGM_FI_DEV_FB_{part}" for part in ("USED", "FREE", "RESERVED"))
    return AlertRule(
        name="GpuMemoryHigh",
        severity=Severity.TICKET,
        area=AREA,
        expr=f"max by {_GPU} ({used} / ({used} + {free} + {reserved})) > {percent / 100:.4g}",
        hold=10 * MINUTE,
        summary="GPU {{ $labels.gpu }} of {{ $labels.Hostname }} uses {{ $value | humanizePercentage }}",
        description=(
            "An engine sets its memory aside when it starts, about 92 % of the GPU, so this is no sign of "
            "load: something else uses the GPU too, or the engine's share is set too high."
        ),
        runbook="gpu-memory",
        firing=Evidence(_memory_samples(79_000), true_from=0, labels=(_EXPECTED,)),
        silent=_memory_samples(75_000),
    )


def _xid() -> AlertRule:
    name = "DCGM_EXP_XID_ERRORS_TOTAL"
    series = f'{name}{{{_LABELS},xid="79"}}'
    return AlertRule(
        name="GpuXidError",
        severity=Severity.PAGE,
        area=AREA,
        # A code's counter begins with its first error, of which `increase` knows nothing.
        expr=(
            f"sum by (Hostname, gpu, modelName, xid) (increase({name}[10m])) > 0 "
            f"or sum by (Hostname, gpu, modelName, xid) ({name} unless {name} offset 10m) > 0"
        ),
        hold=0,
        summary="GPU {{ $labels.gpu }} of {{ $labels.Hostname }} reports XID {{ $labels.xid }}",
        description="The driver has seen an error of the GPU or of a program on it. Some codes need a reset, "
        "some a new card.",
        runbook="gpu-xid",
        firing=Evidence(
            (Series(series, Level(((None, 300), (1, 0)))),),
            true_from=300,
            labels=({**_EXPECTED, "xid": "79"},),
        ),
        # One that is long past: the exporter has counted it before these samples begin.
        silent=(
            Series(series, Level(((None, 0),))),
            Series(f"DCGM_FI_DEV_GPU_UTIL{{{_LABELS}}}", level(98)),
        ),
    )
