"""The matrix as reviewers and programs get it."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest

from stacks.connectivity import __main__ as command
from stacks.connectivity.cluster import Cluster
from stacks.connectivity.matrix import rows
from stacks.connectivity.ranges import EMPTY, EVERY_IPV6, Ranges, addresses, networks, port_text
from stacks.connectivity.report import connectivity, objects_of, report
from tests.unit.connectivity.clusters import Json, namespace, pod, policy
from tests.unit.stack_graphs import STACKS, stack_graph, stack_plan

WEB = [
    namespace("web"),
    pod("web/one", {"app": "one"}),
    pod("web/two", {"app": "two"}),
    policy("web", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, "deny"),
    policy(
        "web",
        {
            "podSelector": {"matchLabels": {"app": "one"}},
            "ingress": [
                {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}, {"port": 80}]}
            ],
        },
        "entry",
    ),
]


def test_the_grid_shows_numbers_ports_and_names() -> None:
    found = report(Cluster(WEB))
    assert found.heading == ("from \\ to", "1", "who")
    assert found.grid == (("1", "—", "Pod web/one"), ("2", "80, 443", "network 10.0.0.0/8"))
    assert found.not_isolated == ()
    isolated, idle = found.sentences
    assert isolated == "Policies isolate all 2 workloads in both directions."
    assert "Pod web/two" in idle
    assert "the internet" in idle


def test_what_no_policy_isolates_comes_first() -> None:
    found = report(Cluster([*WEB, pod("bare/three")]))
    assert found.not_isolated == ("Pod bare/three (ingress)", "Pod bare/three (egress)")
    assert (
        found.sentences[0] == "NOT ISOLATED by any policy: Pod bare/three (ingress), Pod bare/three (egress)."
    )
    (row,) = [row for row in found.rows if row.source == "the internet" and row.protocol == "TCP"]
    assert (row.target, row.ports, row.ingress, row.egress) == ("Pod bare/three", "any", (), ())


def test_rows_name_the_policies_that_let_traffic_through() -> None:
    (row,) = [row for row in rows(Cluster(WEB)) if row.source == "network 10.0.0.0/8"]
    assert (row.ports, row.ingress, row.egress, row.partly) == ("80, 443", ("web/entry",), (), False)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_has_a_report_that_fits_a_page(stack: str) -> None:
    resources = [
        (one.name, one.inputs) for one in stack_graph(stack)[0] if one.type.startswith("kubernetes:")
    ]
    found = connectivity(resources, stack_plan(stack))
    assert len(found.grid) < 30
    assert all(len(row) == len(found.heading) <= 22 for row in found.grid)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["grid"]


def test_names_that_the_engine_makes_up_are_the_resources_own() -> None:
    (made,) = objects_of(
        [("fetch", {"kind": "Job", "metadata": {"namespace": "web"}}), ("role", {"policy": 1})]
    )
    assert made["metadata"] == {"name": "fetch", "namespace": "web"}


def _run(objects: list[Json], *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"kind": "List", "items": objects})))
    return command.main(arguments)


def test_the_command_lists_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(WEB, monkeypatch=monkeypatch) == 0
    assert "network 10.0.0.0/8 -> Pod web/one: TCP 80, 443\n" in capsys.readouterr().out


def test_the_command_explains_one_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(WEB, "--why", "web/two", "web/one", "80", monkeypatch=monkeypatch) == 1
    out = capsys.readouterr().out
    assert "denied: isolated by web/deny, no rule of which lets it through" in out
    with pytest.raises(SystemExit):
        _run(WEB, "--why", "web/two", "web/six", "80", monkeypatch=monkeypatch)
    assert "'web/six': no such endpoint" in capsys.readouterr().err


def test_ranges_are_sets() -> None:
    some = Ranges.of([(5, 9), (1, 3), (4, 4), (20, 30)])
    assert some.spans == ((1, 9), (20, 30))
    assert (some - Ranges.of([(2, 2), (25, 40)])).spans == ((1, 1), (3, 9), (20, 24))
    assert (some & Ranges.of([(9, 20)])).spans == ((9, 9), (20, 20))
    assert some & EMPTY == EMPTY == some - some
    assert port_text(some) == "1-9, 20-30"


def test_addresses_of_both_versions_are_apart() -> None:
    both = addresses("10.0.0.0/8", "::/0")
    assert both & EVERY_IPV6 == EVERY_IPV6
    assert [str(one) for one in networks(both - addresses("10.128.0.0/9"))] == ["10.0.0.0/9", "::/0"]


def _stack_of(models: int) -> list[Json]:
    """As many models as a very large stack has, each with what ours have."""
    objects: list[Json] = [
        namespace("autoglm"),
        policy("autoglm", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, "deny"),
    ]
    for number in range(models):
        labels = {"app": "server", "instance": f"model-{number}"}
        objects += [
            pod(f"autoglm/server-{number}", labels, ports=[{"name": "http", "containerPort": 8000}]),
            pod(f"autoglm/fetch-{number}", {**labels, "app": "fetch"}),
            policy(
                "autoglm",
                {
                    "podSelector": {"matchLabels": labels},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [
                        {
                            "from": [{"namespaceSelector": {"matchLabels": {"purpose": "trusted"}}}],
                            "ports": [{"port": "http"}],
                        }
                    ],
                },
                f"server-{number}",
            ),
            policy(
                "autoglm",
                {
                    "podSelector": {"matchLabels": {**labels, "app": "fetch"}},
                    "policyTypes": ["Egress"],
                    "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}],
                },
                f"fetch-{number}",
            ),
        ]
    return objects


def test_work_grows_with_the_stack_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    decide = Cluster.decide

    def counted(self: Cluster, *arguments: object) -> object:
        nonlocal asked
        asked += 1
        return decide(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Cluster, "decide", counted)
    work = []
    for models in (20, 40):
        asked = 0
        assert len(report(Cluster(_stack_of(models))).rows) == 2 * models
        work.append(asked)
    assert work[1] == 2 * work[0]
