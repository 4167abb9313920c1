"""In which AWS regions EC2 offers the instance types with accelerators.

Source: EC2's DescribeInstanceTypeOfferings as moto 5.2.5 has recorded it; the tests compare every row. A
region that is not in the record is unknown, not refused. Availability zones are not here: their names mean
another zone in each account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_RECORDED: Final = """
af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-central-1 ca-west-1
eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
il-central-1 me-central-1 me-south-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
"""
RECORDED_REGIONS: Final = frozenset(_RECORDED.split())
"""Regions that the record covers."""

_TABLE: Final = """
g4dn          af-south-1 ap-east-1 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1
g4dn          ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1 eu-south-1 eu-west-1
g4dn          eu-west-2 eu-west-3 me-south-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
g5            ap-east-1 ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-3
g5            ca-central-1 eu-central-1 eu-north-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1
g5            me-central-1 sa-east-1 us-east-1 us-east-2 us-west-2
g6            ap-northeast-1 ap-northeast-2 ap-south-1 ap-south-2 ap-southeast-2 ap-southeast-5
g6            ca-central-1 eu-central-1 eu-central-2 eu-north-1 eu-south-2 eu-west-2 eu-west-3
g6            me-central-1 sa-east-1 us-east-1 us-east-2 us-west-2
g6e           ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 eu-central-1 eu-north-1
g6e           eu-south-2 me-central-1 us-east-1 us-east-2 us-west-2
gr6           ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-5 ca-central-1
gr6           eu-central-1 eu-central-2 eu-north-1 eu-south-2 eu-west-2 eu-west-3 sa-east-1 us-east-1
gr6           us-east-2 us-west-2
inf2          ap-northeast-1 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1 eu-north-1 eu-west-1
inf2          eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2
inf2.xlarge   ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-1 ap-southeast-2 eu-central-1
inf2.xlarge   eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-2
p4d           ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ca-central-1 eu-central-1
p4d           eu-north-1 eu-west-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-2
p4de          ap-northeast-1 ap-southeast-1 eu-central-1 il-central-1 us-east-1 us-west-2
p5.48xlarge   ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-2 ap-southeast-3 ca-central-1
p5.48xlarge   eu-north-1 eu-west-2 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
p5.4xlarge    ap-northeast-1 ap-south-1 ap-southeast-2 ap-southeast-3 eu-north-1 eu-west-2 sa-east-1
p5.4xlarge    us-east-1 us-east-2 us-west-2
p5e           ap-southeast-2 ap-southeast-3 eu-north-1 eu-west-2 sa-east-1 us-east-2 us-west-2
p5en          ap-northeast-1 ap-northeast-2 ap-south-1 ap-southeast-3 eu-north-1 eu-south-2 me-central-1
p5en          us-east-1 us-east-2 us-west-1 us-west-2
p6-b200       ap-south-1 ap-south-2 eu-north-1 eu-west-3 us-east-1 us-east-2 us-west-2
trn1.32xlarge ap-south-1 ap-southeast-2 ap-southeast-4 us-east-1 us-east-2 us-west-2
trn1.2xlarge  us-east-1 us-east-2 us-west-2
trn1n         us-east-1 us-east-2 us-west-2
trn2.3xlarge  ap-south-2 ap-southeast-4 sa-east-1
trn2.48xlarge ap-south-2 us-east-2
"""
"""Instance type, or family where the family's other types are offered alike; then regions."""


def _read() -> Mapping[str, frozenset[str]]:
    table: dict[str, frozenset[str]] = {}
    for line in _TABLE.strip().splitlines():
        name, *listed = line.split()
        table[name] = table.get(name, frozenset()) | frozenset(listed)
    return table


_OFFERED: Final = _read()


def regions(instance_type: str) -> frozenset[str] | None:
    """Regions that offer the type; None where nothing is recorded of it."""
    return _OFFERED.get(instance_type, _OFFERED.get(instance_type.split(".")[0]))


def offered(instance_type: str, region: str) -> bool | None:
    """Whether the region offers the type; None where that is not known."""
    known = regions(instance_type)
    return None if known is None or region not in RECORDED_REGIONS else region in known
