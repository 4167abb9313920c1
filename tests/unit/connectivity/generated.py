"""Clusters and policies made up at random, small enough that every connection can be tried."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.unit.connectivity.clusters import Json, namespace, pod, policy

OUTSIDE = {"address-1": "192.0.2.1", "address-2": "198.51.100.7", "address-3": "2001:db8::1"}
"""Addresses that are no pods."""
PORTS = (1, 52, 53, 79, 80, 81, 8080, 65535)
"""Those that rules name, with those beside them."""

_KEYS, _VALUES = ("app", "role"), ("a", "b", "c")
_CIDRS = {
    "0.0.0.0/0": ["10.0.0.0/8", "192.0.2.0/24", "10.0.1.1/32"],
    "10.0.0.0/16": ["10.0.1.0/24", "10.0.2.2/32"],
    "10.0.1.1/32": [],
    "192.0.2.0/24": ["192.0.2.1/32"],
    "::/0": ["2001:db8::/32"],
    "2001:db8::/64": [],
}

labels = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES))
names = st.sampled_from(("web", "dns"))


@st.composite
def _expressions(draw: st.DrawFn) -> Json:
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
    keys = (*_KEYS, "kubernetes.io/metadata.name")
    expression: Json = {"key": draw(st.sampled_from(keys)), "operator": operator}
    if operator in ("In", "NotIn"):
        expression["values"] = draw(
            st.lists(st.sampled_from((*_VALUES, "x", "y")), min_size=1, max_size=2, unique=True)
        )
    return expression


selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES), max_size=1),
        "matchExpressions": st.lists(_expressions(), max_size=2),
    },
)


@st.composite
def _blocks(draw: st.DrawFn) -> Json:
    cidr = draw(st.sampled_from(sorted(_CIDRS)))
    holes = _CIDRS[cidr]
    except_ = draw(st.lists(st.sampled_from(holes), unique=True)) if holes else []
    return {"ipBlock": {"cidr": cidr, **({"except": except_} if except_ else {})}}


peers = st.one_of(
    _blocks(),
    st.builds(lambda pods: {"podSelector": pods}, selectors),
    st.builds(lambda spaces: {"namespaceSelector": spaces}, selectors),
    st.builds(lambda pods, spaces: {"podSelector": pods, "namespaceSelector": spaces}, selectors, selectors),
)


@st.composite
def _ports(draw: st.DrawFn) -> Json:
    port: Json = {}
    if draw(st.booleans()):
        port["protocol"] = draw(st.sampled_from(("TCP", "UDP", "SCTP")))
    number = draw(st.one_of(st.none(), names, st.sampled_from((53, 80, 8080))))
    if number is not None:
        port["port"] = number
    if isinstance(number, int) and draw(st.booleans()):
        port["endPort"] = number + draw(st.sampled_from((0, 1, 57455)))
    return port


def _rules(side: str) -> st.SearchStrategy[list[Json]]:
    rule = st.fixed_dictionaries(
        {}, optional={side: st.lists(peers, max_size=2), "ports": st.lists(_ports(), max_size=2)}
    )
    return st.lists(rule, max_size=2)


specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "policyTypes": st.lists(st.sampled_from(("Ingress", "Egress")), unique=True),
        "ingress": _rules("from"),
        "egress": _rules("to"),
    },
)


@st.composite
def clusters(draw: st.DrawFn, *, host_network: bool = True) -> list[Json]:
    """Two namespaces with two pods each, and policies in both."""
    objects = [namespace(name, draw(labels)) for name in ("x", "y")]
    for index, where in enumerate(("x/1", "x/2", "y/1", "y/2")):
        ports = [
            {"name": name, "containerPort": number, "protocol": protocol}
            for name, number in (("web", draw(st.sampled_from((80, 8080)))), ("dns", 53))
            for protocol in draw(st.sets(st.sampled_from(("TCP", "UDP"))))
        ]
        spec: Json = {"hostNetwork": True} if host_network and draw(st.integers(0, 7)) == 7 else {}
        objects.append(pod(where, draw(labels), f"10.0.{index // 2 + 1}.{index % 2 + 1}", ports, **spec))
    for number, (where, spec) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(("x", "y")), specs), max_size=4))
    ):
        objects.append(policy(where, spec, f"policy-{number}"))
    return objects
