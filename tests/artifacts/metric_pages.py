"""Pages of metrics: what each exporter offers, recorded from the real one or taken from its source.

`metrics/<job>.prom` is a page in Prometheus' text format, cut to the first samples of each family, without
values and without what only tells of the machine; `metrics/<job>.source.prom` adds what could not be
recorded. Their first lines say where they come from.

Record one again: `python -m tests.artifacts.metric_pages "SOURCE" < page > tests/artifacts/metrics/JOB.prom`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

FOLDER: Final = Path(__file__).parent / "metrics"
_PRIVATE: Final = frozenset(
    {
        *("nodename", "id", "uid", "image", "container_id", "domainname", "version", "release", "machine"),
        *("image_id", "image_spec", "provider_id", "system_uuid", "pod_ip", "host_ip", "internal_ip"),
        *("kernel_version", "os_image", "container_runtime_version", "kubelet_version", "created_by_name"),
        *("broadcast", "operstate", "adminstate", "volumename", "csi_volume_handle", "local_path"),
    }
)
"""Labels whose values tell of the machine and decide nothing."""
_SAMPLES: Final = 40
"""Of each family that are kept: all bounds of a histogram, and enough values of other labels."""
_DROPPED: Final = ("go_", "process_", "python_", "promhttp_", "net_conntrack_")
"""Families of client libraries: the same everywhere, and in no rule."""


@dataclass
class Family:
    """Series of one name, as far as they were recorded."""

    labels: set[str] = field(default_factory=set)
    values: dict[str, set[str]] = field(default_factory=dict)
    """By label."""

    def add(self, labels: Mapping[str, str]) -> None:
        """One more series."""
        self.labels.update(labels)
        for name, value in labels.items():
            self.values.setdefault(name, set()).add(value)


@dataclass(frozen=True)
class Page:
    """What one job offers."""

    job: str
    origin: str
    """Where the page comes from."""
    families: Mapping[str, Family]
    """By the name of the series: a histogram's `_bucket` is one."""


def load(path: Path) -> Page:
    """A page that is kept here; raises ValueError where it does not say where it comes from."""
    text = path.read_text(encoding="utf-8")
    head = [line.removeprefix("# origin: ") for line in text.splitlines() if line.startswith("# origin: ")]
    if not head:
        raise ValueError(f"{path.name}: says nowhere where it comes from; begin it with `# origin: …`")
    families: dict[str, Family] = {}
    # Without types, every series keeps the name that it has on the page: a counter's would get a `_total`.
    plain = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    for sample in _samples(plain):
        families.setdefault(sample.name, Family()).add(sample.labels)
    return Page(path.name.partition(".")[0], " ".join(head), families)


def pages() -> list[Page]:
    """All of them; a job can have two."""
    return [load(path) for path in sorted(FOLDER.glob("*.prom"))]


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def cut(text: str, origin: str) -> str:
    """A recorded page as it is kept."""
    lines = [f"# origin: {origin}"]
    for family in text_string_to_metric_families(text):
        if family.name.startswith(_DROPPED) or not family.samples:
            continue
        lines.append(f"# TYPE {family.name} {family.type}")
        kept: dict[str, dict[tuple[tuple[str, str], ...], None]] = {}
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            labels = {
                name: "…" if name in _PRIVATE and value else value for name, value in sample.labels.items()
            }
            kept.setdefault(sample.name, {})[tuple(sorted(labels.items()))] = None
        for name, series in kept.items():
            for labels_of_one in list(series)[:_SAMPLES]:
                lines.append(_line(name, labels_of_one))
    return "\n".join(lines) + "\n"


def _line(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    def quoted(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    pairs = ",".join(f'{key}="{quoted(value)}"' for key, value in labels)
    return f"{name}{{{pairs}}} 0" if pairs else f"{name} 0"


if __name__ == "__main__":
    sys.stdout.write(cut(sys.stdin.read(), sys.argv[1]))
