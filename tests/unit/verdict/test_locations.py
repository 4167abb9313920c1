"""Findings point at the settings and at the rule."""

from __future__ import annotations

import pytest

from policies.catalogue import ALL
from stacks.verdict.locations import rule_locations, settings_location
from toolchain import paths

SETTINGS = """\
config:
  autoglm-platform:cluster:
    kind: eks
    name: autoglm-prod
    nodePools:
      - name: l40s
      - {name: h100, maxNodes: 2}
  autoglm-platform:buckets:
    model: m
  autoglm-platform:models:
    - name: autoglm-phone-9b
"""


@pytest.mark.parametrize(
    ("resource", "line"),
    [
        ("aws:eks:NodeGroup pools-l40s", 6),
        ("aws:eks:NodeGroup pools-h100", 7),
        ("kubernetes:apps/v1:Deployment autoglm-phone-9b", 11),
        ("kubernetes:core/v1:Secret autoglm-phone-9b-store", 11),
        ("aws:s3:BucketPolicy buckets-audit", 8),
        ("aws:ec2:Vpc network", 2),
        ("aws:eks:NodeGroup pools-xl40s", 2),
        ("", 1),
        ("random:index:Pet pet", 1),
    ],
)
def test_a_resource_leads_to_what_it_is_made_from(resource: str, line: int) -> None:
    found = settings_location("prod", SETTINGS, resource)
    assert (found.file, found.line) == ("Pulumi.prod.yaml", line)


def test_every_rule_leads_to_its_source() -> None:
    found = rule_locations((paths.ROOT / "policies").glob("*.py"), paths.ROOT)
    # Rules that are made by a function from a table have no line that states their id.
    missing = {rule.id for rule in ALL} - set(found)
    assert len(missing) < len(ALL) / 2, sorted(missing)
    for identifier, place in found.items():
        line = (paths.ROOT / place.file).read_text(encoding="utf-8").splitlines()[place.line - 1]
        assert f'"{identifier}"' in line
