"""The weekly report from a real Prometheus: each figure is reckoned a second time, from the samples alone."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import html5lib
import pytest

from components.monitoring.stack import ALERTMANAGER, PROMETHEUS
from components.trend_report.plan import EstimatedPrice, plan_trend_report
from components.trend_report.settings import TrendReport
from tests.artifacts import test_alertmanager as alerts
from tests.artifacts.metric_contract import Contract
from tests.artifacts.metric_pages import pages
from tests.harness.history import DAY, HOUR, History, Span
from tests.harness.prometheus import Prometheus, serve
from tests.unit.monitoring.examples import settings as monitoring
from toolchain import paths
from trend_report import figures

delivery = alerts.delivery
MODEL = "autoglm-phone-9b"
NAMESPACE = "autoglm"
PRICE = EstimatedPrice(12.5, 50.0, "USD", "list prices of 2026-07-20", ("Filestore",))
SERIES = frozenset(
    {
        *("vllm:e2e_request_latency_seconds_bucket", "vllm:time_to_first_token_seconds_bucket"),
        *("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:kv_cache_usage_perc"),
        *("vllm:num_requests_waiting", "http_requests_total", "node_cpu_seconds_total"),
        *("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_RESERVED"),
        "kube_pod_container_status_restarts_total",
    }
)
SPAN = Span()


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    with serve(SPAN, SERIES) as server:
        yield server


def document(prometheus: Prometheus, **changes: Any) -> dict[str, Any]:
    """The configuration as the stack makes it, but for the addresses."""
    plan, problems = plan_trend_report(
        TrendReport.model_validate({}),
        monitoring(),
        stack="prod",
        models_namespace=NAMESPACE,
        images={},
        estimate=PRICE,
    )
    assert plan is not None, problems
    made: dict[str, Any] = json.loads(plan.configuration)
    return {**made, "prometheus": [prometheus.url], "alertmanagers": [], **changes}


@dataclass(frozen=True)
class Made:
    """What the Job left on its volume."""

    folder: Path

    def text(self, kind: str) -> str:
        return (self.folder / f"2026-W46.{kind}").read_text(encoding="utf-8")

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = json.loads(self.text("json"))["figures"]
        return found


def run_job(folder: Path, configuration: Mapping[str, Any], week: str) -> subprocess.CompletedProcess[str]:
    """The program as its container starts it."""
    file = folder / "report.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = [sys.executable, "-m", "trend_report", f"--config={file}", f"--out={folder / 'reports'}"]
    return subprocess.run(
        [*command, f"--week={week}"],
        env={**os.environ, "PYTHONPATH": str(paths.ROOT / "apps" / "trend_report")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def made(prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    for week in ("2026-W45", "2026-W46"):
        done = run_job(folder, document(prometheus), week)
        assert done.returncode == 0, done.stderr
    return Made(folder / "reports")


@dataclass(frozen=True)
class Truth:
    """Samples of the history, as they were written, and what they come to in its last week."""

    series: Mapping[str, Sequence[tuple[Mapping[str, str], Sequence[float | int | None]]]]

    @classmethod
    def of(cls, history: History) -> Truth:
        found: dict[str, list[tuple[Mapping[str, str], Sequence[float | int | None]]]] = {}
        for family in history.families():
            for one in family.series:
                found.setdefault(one.name, []).append((dict(one.labels), one.values))
        return cls(found)

    def increase(self, name: str, **labels: str) -> float:
        """Events of the week: every rise of a counter; after a restart, everything up to there."""
        total = 0.0
        for own, values in self.series[name]:
            if any(own.get(key) != value for key, value in labels.items()):
                continue
            inside = [
                value
                for time, value in zip(SPAN.times, values, strict=True)
                if SPAN.end - 7 * DAY <= time <= SPAN.end and value is not None
            ]
            total += sum(after - before if after >= before else after for before, after in pairwise(inside))
        return total

    def quantile(self, name: str, wanted: float) -> float:
        """Of a histogram's observations in the week, as PromQL's documentation has it."""
        bounds = sorted(
            {float(own["le"]): own["le"] for own, _ in self.series[name]}.items(), key=lambda one: one[0]
        )
        counts = [(bound, self.increase(name, le=text)) for bound, text in bounds]
        rank = wanted * counts[-1][1]
        below = (0.0, 0.0)
        for bound, count in counts:
            if count >= rank:
                assert math.isfinite(bound)
                return below[0] + (bound - below[0]) * (rank - below[1]) / (count - below[1])
            below = (bound, count)
        raise AssertionError("no bucket holds it")

    def hourly_mean(self, name: str, *, highest: bool = False) -> float:
        """Mean over the hours of the week, of the samples of all series."""
        means = []
        for end in range(SPAN.end - 7 * DAY + HOUR, SPAN.end + 1, HOUR):
            each = []
            for _, values in self.series[name]:
                inside = [
                    float(value)
                    for time, value in zip(SPAN.times, values, strict=True)
                    # Both ends, as Prometheus 2 has it.
                    if end - HOUR <= time <= end and value is not None
                ]
                each.append(max(inside) if highest else sum(inside) / len(inside))
            means.append(max(each) if highest else sum(each) / len(each))
        return max(means) if highest else sum(means) / len(means)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.of(History(SPAN, SERIES))


def close(value: float) -> Any:
    """Prometheus extrapolates to the ends of windows where a series begins, ends or restarts."""
    return pytest.approx(value, rel=2e-3)


@pytest.mark.parametrize("wanted", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("latency", "vllm:e2e_request_latency_seconds_bucket"),
        ("first_token", "vllm:time_to_first_token_seconds_bucket"),
    ],
)
def test_quantiles_are_those_of_the_samples(
    made: Made, truth: Truth, key: str, name: str, wanted: float
) -> None:
    assert made.figures[MODEL][f"{key}_p{wanted * 100:.0f}"] == close(truth.quantile(name, wanted))


def test_requests_failures_and_tokens_are_those_of_the_samples(made: Made, truth: Truth) -> None:
    found = made.figures[MODEL]
    answers = {
        status: truth.increase("http_requests_total", handler="/v1/chat/completions", status=status)
        for status in ("2xx", "4xx", "5xx")
    }
    assert found["answers"] == close(sum(answers.values()))
    assert found["failed"] == close(answers["5xx"])
    assert 1 - found["availability"] == close(answers["5xx"] / sum(answers.values()))
    assert found["generated"] == close(truth.increase("vllm:generation_tokens_total"))
    assert found["prompted"] == close(truth.increase("vllm:prompt_tokens_total"))
    assert found["token_rate"] == close(truth.increase("vllm:generation_tokens_total") / (7 * DAY))


def test_utilisation_is_that_of_the_samples(made: Made, truth: Truth) -> None:
    found = made.figures[MODEL]
    assert found["kv_cache"] == close(truth.hourly_mean("vllm:kv_cache_usage_perc"))
    assert found["kv_cache_peak"] == truth.hourly_mean("vllm:kv_cache_usage_perc", highest=True)
    cluster = made.figures["Cluster"]
    assert cluster["gpu"] == close(truth.hourly_mean("DCGM_FI_DEV_GPU_UTIL") / 100)
    assert cluster["restarts"] == pytest.approx(
        truth.increase("kube_pod_container_status_restarts_total", namespace=NAMESPACE, container="vllm"),
        rel=0.2,
    )


def test_idle_cpus_are_those_of_the_samples(made: Made, truth: Truth) -> None:
    if "node_cpu_seconds_total" not in truth.series:
        pytest.skip("the recorded page of node exporter has no node_cpu_seconds_total")
    cpus = {(own["instance"], own["cpu"]) for own, _ in truth.series["node_cpu_seconds_total"]}
    idle = truth.increase("node_cpu_seconds_total", mode="idle") / len(cpus) / (7 * DAY)
    assert made.figures["Cluster"]["cpu"] == pytest.approx(1 - idle, abs=1e-3)


def test_the_cost_of_tokens_is_the_price_of_the_hours_over_the_tokens(made: Made, truth: Truth) -> None:
    tokens = sum(truth.increase(f"vllm:{kind}_tokens_total") for kind in ("prompt", "generation"))
    found = made.figures["Cost"]
    assert found["cost_low"] == 12.5 * 168
    assert found["cost_per_million_token_low"] == close(12.5 * 168 / tokens * 1e6)
    assert found["cost_per_million_token_high"] == close(50.0 * 168 / tokens * 1e6)


def test_the_week_before_is_the_one_that_its_own_report_told(made: Made) -> None:
    row = next(line for line in made.text("md").splitlines() if line.startswith("| Requests answered |"))
    earlier = (made.folder / "2026-W45.md").read_text(encoding="utf-8")
    told = next(line for line in earlier.splitlines() if line.startswith("| Requests answered |"))
    assert row.split("|")[3] == told.split("|")[2]


def test_the_incident_is_found(made: Made) -> None:
    assert "- Wed 11 Nov, 14:00 to 15:00: 4.39 % of the requests failed and P99 was" in made.text("md")
    assert "2 of 3 promises missed." in made.text("md")


def test_the_page_is_valid_html(made: Made) -> None:
    for file in ("2026-W46.html", "index.html"):
        # Raises at the first thing that the standard calls a parse error.
        html5lib.HTMLParser(strict=True).parse((made.folder / file).read_text(encoding="utf-8"))


def test_hostile_names_of_models_stay_text(tmp_path: Path) -> None:
    name = '</style><script>alert("|")</script>[x](https://evil.example)'
    labels = json.dumps(name)
    lines = [
        f'vllm:generation_tokens_total{{namespace="{NAMESPACE}",model={labels}}} {index} {time}\n'
        for index, time in enumerate(range(SPAN.start, SPAN.end + 1, 240))
    ]
    with serve(SPAN, frozenset({"up"}), more="".join(lines)) as server:
        done = run_job(tmp_path, document(server), "2026-W46")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reports" / "2026-W46.html").read_text(encoding="utf-8")
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    assert tree.find(".//script") is None
    assert any(heading.text == name for heading in tree.iter("h2"))


def test_a_gap_is_reported_as_one_and_not_as_silence(tmp_path: Path) -> None:
    """Prometheus was away for two days of the week: its figures are of five days, and the report says so."""
    away = range(SPAN.end - 3 * DAY, SPAN.end - DAY)
    answers = 'job="model-server",status="2xx",handler="/v1/chat/completions"'
    lines = [
        f'{name}{{namespace="{NAMESPACE}",model="{MODEL}"{labels}}} {time - SPAN.start} {time}\n'
        for name, labels in (("vllm:generation_tokens_total", ""), ("http_requests_total", f",{answers}"))
        for time in range(SPAN.start, SPAN.end + 1, 240)
        if time not in away
    ]
    with serve(SPAN, frozenset({"up"}), more="".join(lines)) as server:
        done = run_job(tmp_path, document(server), "2026-W46")
    assert done.returncode == 0, done.stderr
    assert "data for 120 of 168 hours" in done.stdout
    report = json.loads((tmp_path / "reports" / "2026-W46.json").read_text(encoding="utf-8"))["figures"]
    # A token a second; the rate is that of the hours that there are, and so is the cost.
    assert report[MODEL]["token_rate"] == pytest.approx(1, rel=0.02)
    assert report["Cost"]["cost_low"] == 12.5 * 120
    assert "too little data" in done.stdout


def test_queries_ask_for_nothing_that_no_exporter_has() -> None:
    pytest.importorskip("promql_parser", reason="promql-parser is not installed")
    known = pages()
    contract = Contract.of(known, [])
    recorded = {name for page in known for name in page.families}
    for query in (*figures.MODEL_QUERIES.values(), *figures.STACK_QUERIES.values()):
        if "node_cpu_seconds_total" in query and "node_cpu_seconds_total" not in recorded:
            continue
        breaches, _ = contract.breaches(query.replace("SELECTOR", f'namespace="{NAMESPACE}"'))
        assert breaches == [], query


def test_pods_are_found_by_the_labels_that_the_operator_gives() -> None:
    plan, _ = plan_trend_report(
        TrendReport(), monitoring(), stack="prod", models_namespace=NAMESPACE, images={}
    )
    assert plan is not None
    assert plan.alertmanager is not None
    assert plan.prometheus.labels == {"app.kubernetes.io/name": PROMETHEUS}
    assert plan.alertmanager.labels == {"app.kubernetes.io/name": ALERTMANAGER}


def test_the_summary_arrives_in_the_chat(
    prometheus: Prometheus, delivery: alerts.Delivery, tmp_path: Path
) -> None:
    """Through the real Alertmanager, configured as the stack does, and the real relay to DingTalk."""
    done = run_job(tmp_path, document(prometheus, alertmanagers=[delivery.alertmanager]), "2026-W46")
    assert done.returncode == 0, done.stderr
    alerts.wait_for(lambda: "firing (1): WeeklyReport" in delivery.titles(), "the summary")
    (body,) = (each for each in delivery.chats.dingtalk if "WeeklyReport" in each["markdown"]["title"])
    # Nobody is called for it.
    assert body["at"] == {"isAtAll": False}
    text = body["markdown"]["text"]
    assert "Model service of stack prod, week 2026-W46: 2 of 3 promises missed." in text
    assert f"{MODEL}: Whole answers, P99" in text
    assert "Cost per million tokens:" in text
    assert delivery.chats.refused == []
