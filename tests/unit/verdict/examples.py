"""Evidence as previews leave it, to change in one place."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from hypothesis import strategies as st

from stacks.verdict.evidence import (
    FORMAT_VERSION,
    Cost,
    Evidence,
    Exemption,
    Finding,
    Location,
    Rule,
    Stack,
)

RULE = Rule(
    id="container-memory-limit",
    severity="high",
    title="Every container has a memory limit",
    rationale="Without one a container takes the node's memory",
    fix="set resources.limits.memory",
    same_controls=("gatekeeper/k8scontainerlimits",),
    location=Location("policies/resource_limits.py", 40),
)
FINDING = Finding(
    rule=RULE.id,
    severity=RULE.severity,
    resource="kubernetes:apps/v1:Deployment autoglm-phone-9b",
    message="Deployment autoglm-phone-9b containers[0]: no memory limit; set resources.limits.memory",
    location=Location("Pulumi.prod.yaml", 101),
)
PASSED = Stack(
    name="prod",
    kind="preview",
    complete=True,
    errors=(),
    packs=("autoglm-platform 0.0.1",),
    judged=(RULE.id,),
    changes={"create": 180, "update": 0, "replace": 0, "delete": 0, "unchanged": 0},
    disruptive=(),
    cost=Cost("USD", "5788.9", "54747.12", "60000", ()),
    violations=(),
    advisories=(),
    exemptions=(Exemption("pod-host-path", "DaemonSet plugin", "the kubelet's socket", "2027-06-30"),),
)
REFUSED = dataclasses.replace(PASSED, complete=False, violations=(FINDING,))


def evidence(*stacks: Stack, **changes: Any) -> Evidence:
    """A document on these stacks."""
    return dataclasses.replace(Evidence(FORMAT_VERSION, "c0ffee" * 6 + "c0ff", stacks, (RULE,)), **changes)


_SHORT: Final = st.text(max_size=12)
_SHORTS: Final = st.lists(_SHORT, max_size=2).map(tuple)
_LOCATIONS: Final = st.builds(Location, _SHORT, st.integers(1, 10**6))
_FINDINGS: Final = st.lists(st.builds(Finding, _SHORT, _SHORT, _SHORT, _SHORT, _LOCATIONS), max_size=2).map(
    tuple
)
_STACKS: Final = st.builds(
    Stack,
    name=_SHORT,
    kind=st.sampled_from(["preview", "state"]),
    complete=st.booleans(),
    errors=_SHORTS,
    packs=_SHORTS,
    judged=_SHORTS,
    changes=st.dictionaries(st.sampled_from(["create", "delete", "unchanged"]), st.integers()),
    disruptive=_SHORTS,
    cost=st.none() | st.builds(Cost, _SHORT, _SHORT, _SHORT, st.none() | _SHORT, _SHORTS),
    violations=_FINDINGS,
    advisories=_FINDINGS,
    exemptions=st.lists(st.builds(Exemption, _SHORT, _SHORT, _SHORT, _SHORT), max_size=2).map(tuple),
)
_RULES: Final = st.builds(Rule, _SHORT, _SHORT, _SHORT, _SHORT, _SHORT, _SHORTS, st.none() | _LOCATIONS)
ANY_EVIDENCE: Final = st.builds(
    Evidence,
    st.just(FORMAT_VERSION),
    _SHORT,
    st.lists(_STACKS, max_size=2).map(tuple),
    st.lists(_RULES, max_size=2).map(tuple),
)
"""Documents of any content."""
