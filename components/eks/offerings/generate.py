"""Writes offerings.json from moto's data: `python -m components.eks.offerings.generate`."""

from __future__ import annotations

import gzip
import json
from importlib import metadata, resources
from typing import Any, Final

from components.eks.offerings import FILE

_ACCELERATORS: Final = ("GpuInfo", "InferenceAcceleratorInfo", "NeuronInfo")


def _read(name: str) -> Any:
    with resources.files("moto.ec2.resources").joinpath(name).open("rb") as file:
        return json.loads(gzip.decompress(file.read()))


def generate() -> str:
    """Text of the file."""
    accelerated = {
        name for name, entry in _read("instance_types.json.gz").items() if entry.keys() & _ACCELERATORS
    }
    directory = resources.files("moto.ec2.resources").joinpath("instance_type_offerings/availability-zone-id")
    zones: dict[str, list[str]] = {}
    offered: dict[str, dict[str, list[str]]] = {}
    for file in sorted(entry.name for entry in directory.iterdir() if entry.name.endswith(".json.gz")):
        region = file.removesuffix(".json.gz")
        entries = _read(f"instance_type_offerings/availability-zone-id/{file}")
        zones[region] = sorted({entry["Location"] for entry in entries})
        for entry in entries:
            if entry["InstanceType"] in accelerated:
                offered.setdefault(entry["InstanceType"], {}).setdefault(region, []).append(entry["Location"])
    for regions in offered.values():
        for region in regions:
            regions[region] = sorted(regions[region])
    source = f"moto {metadata.version('moto')}: instance_type_offerings/availability-zone-id"
    # One line for each instance type: readable, and a change shows where it is.
    lines = [
        f"    {json.dumps(name)}: {json.dumps(offered[name], sort_keys=True)}" for name in sorted(offered)
    ]
    zone_lines = [f"    {json.dumps(name)}: {json.dumps(zones[name])}" for name in sorted(zones)]
    return (
        f'{{\n  "source": {json.dumps(source)},\n  "zones": {{\n'
        + ",\n".join(zone_lines)
        + '\n  },\n  "offered": {\n'
        + ",\n".join(lines)
        + "\n  }\n}\n"
    )


if __name__ == "__main__":
    FILE.write_text(generate())
