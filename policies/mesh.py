"""Rules on a service mesh: mutual TLS without silent exceptions."""

from __future__ import annotations

from typing import Final

from policies.resource import Resource
from policies.rule import Option, Rule
from policies.values import UNKNOWN, child, elements, entries, known_text, safe_key

_GROUP: Final = "security.istio.io"
_NETWORKING: Final = "networking.istio.io"
_MODES: Final = frozenset({"PERMISSIVE", "DISABLE", "UNSET"})
_RULE: Final = "mesh-mutual-tls"


def _mutual_tls(resource: Resource) -> list[str]:
    allowed = {str(item).removesuffix(".0") for _, item in elements(resource.option(_RULE, "plainPorts"))}
    found: list[str] = []
    for one in resource.of_kind("PeerAuthentication", group=_GROUP):
        mode = child(one.body, "spec", "mtls", "mode")
        ports = list(entries(child(one.body, "spec", "portLevelMtls")))
        if mode not in ("STRICT", UNKNOWN) and not (mode is None and ports):
            found.append(f"{one} {one.at('spec', 'mtls', 'mode')}: {known_text(mode, _MODES)}")
        found += [
            f"{one} {one.at('spec', 'portLevelMtls')}[{safe_key(port)}].mode: {known_text(value, _MODES)}"
            for port, item in ports
            for value in (child(item, "mode"),)
            if value not in ("STRICT", UNKNOWN) and port not in allowed
        ]
    for one in resource.of_kind("DestinationRule", group=_NETWORKING):
        mode = child(one.body, "spec", "trafficPolicy", "tls", "mode")
        if mode == "DISABLE":
            found.append(f"{one} {one.at('spec', 'trafficPolicy', 'tls', 'mode')}: is DISABLE")
    return found


RULES: Final = (
    Rule(
        id=_RULE,
        severity="high",
        title="Within the mesh every connection is mutual TLS",
        rationale="In permissive mode whoever is in the network speaks plain text to every service.",
        fix="set mode STRICT; ports that cannot, such as a kubelet's probes, are named in `plainPorts`",
        judge=_mutual_tls,
        options={
            "plainPorts": Option(
                {"type": "array", "items": {"type": "integer", "minimum": 1}},
                [],
                "Ports that may be plain in portLevelMtls.",
            )
        },
    ),
)
"""Rules on a service mesh."""
