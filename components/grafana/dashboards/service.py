"""What users of the models notice, and the engine behind it."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from components.grafana.dashboards.page import Section, Variable, page
from components.grafana.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    STATUS,
    TOKENS_PER_SECOND,
    YELLOW,
    Limit,
    Query,
    Step,
    quantiles,
    single,
    time_series,
)
from components.grafana.dashboards.view import View
from components.monitoring.alerts.model_service import ANSWERS
from components.monitoring.stack import MODEL_SERVER

KEY: Final = "service"
_FAILED: Final = ',status="5xx"'


def service(view: View) -> Dashboard:
    """Service overview."""
    return page(
        KEY,
        "Service overview",
        "Latency, throughput and errors of the model service. A line across a panel: an alert begins there.",
        [_now(view), _latency(view), _throughput(view), _engine(view), _replicas(view)],
        variables=(
            Variable("model", "Model", f'label_values(up{{job="{MODEL_SERVER}"}}, model)'),
            Variable("pod", "Pod", f'label_values(up{{job="{MODEL_SERVER}",model=~"$model"}}, pod)'),
        ),
    )


def _where(view: View, more: str = "") -> str:
    return f'{{namespace="{view.stack.namespace}",model=~"$model",pod=~"$pod"{more}}}'


def _answers(view: View, more: str = "") -> str:
    """Requests for answers per second, of everything that was chosen."""
    selector = f'{ANSWERS},namespace="{view.stack.namespace}",model=~"$model",pod=~"$pod"{more}'
    return f"rate(http_requests_total{{{selector}}}[$__rate_interval])"


def _failed_part(view: View) -> str:
    every = f"sum by (model) ({_answers(view)})"
    failed = f"sum by (model) ({_answers(view, _FAILED)})"
    # Without a failure since the start, no series counts failures.
    return f"({failed} or {every} * 0) / {every}"


def _now(view: View) -> Section:
    limits, where = view.limits, _where(view)
    first = f"vllm:time_to_first_token_seconds_bucket{where}"
    whole = f"vllm:e2e_request_latency_seconds_bucket{where}"
    planned = sum(view.stack.models.values())
    up = f'sum(up{{job="{MODEL_SERVER}",namespace="{view.stack.namespace}",model=~"$model"}})'
    return Section(
        "Now",
        [
            single(
                view,
                "Replicas up",
                units.NoUnit,
                Query(up, "up"),
                meaning=f"Model servers that let themselves be scraped; {planned} are planned in all.",
                steps=(Step(None, RED), Step(1, YELLOW), Step(planned, GREEN)),
                alert=view.alert("ModelServersDown"),
            ),
            single(
                view,
                "Requests",
                units.RequestsPerSecond,
                Query(f"sum({_answers(view)})", "requests"),
                meaning="Requests for answers per second.",
                decimals=1,
            ),
            single(
                view,
                "Failed requests",
                units.PercentUnit,
                Query(_failed_part(view), "{{model}}"),
                meaning="Part of the requests that is answered with 5xx.",
                steps=(Step(None, GREEN), Step(limits.failed_request_percent / 100, RED)),
                decimals=2,
                alert=view.alert("RequestsFailing"),
            ),
            single(
                view,
                f"Whole answer, P{100 * limits.latency_quantile:g}",
                units.Seconds,
                quantiles(whole, "", limits.latency_quantile)[0],
                meaning="From request to last token.",
                steps=(Step(None, GREEN), Step(limits.latency_seconds, RED)),
                alert=view.alert("ModelLatencyHigh"),
            ),
            single(
                view,
                f"First token, P{100 * limits.first_token_quantile:g}",
                units.Seconds,
                quantiles(first, "", limits.first_token_quantile)[0],
                meaning="From request to the first token of the answer.",
                steps=(Step(None, GREEN), Step(limits.first_token_seconds, RED)),
                alert=view.alert("FirstTokenSlow"),
            ),
            single(
                view,
                "Tokens generated",
                TOKENS_PER_SECOND,
                Query(f"sum(rate(vllm:generation_tokens_total{where}[$__rate_interval]))", "tokens"),
                meaning="Tokens of answers per second, all replicas together.",
                decimals=0,
            ),
            single(
                view,
                "Waiting",
                units.NoUnit,
                Query(f"sum(vllm:num_requests_waiting{where})", "waiting"),
                meaning="Requests in the engines' queues.",
                steps=(Step(None, GREEN), Step(1, YELLOW)),
                decimals=0,
            ),
            single(
                view,
                "KV cache, fullest",
                units.PercentUnit,
                Query(f"max(vllm:kv_cache_usage_perc{where})", "fullest"),
                meaning="Of the replica whose KV cache is the fullest.",
                steps=(Step(None, BLUE), Step(limits.kv_cache_percent / 100, RED)),
                decimals=0,
                alert=view.alert("KvCacheFull"),
            ),
        ],
        per_line=8,
        height=4,
    )


def _latency(view: View) -> Section:
    limits, where = view.limits, _where(view)
    return Section(
        "Latency",
        [
            time_series(
                view,
                "First token",
                units.Seconds,
                *quantiles(f"vllm:time_to_first_token_seconds_bucket{where}", "", 0.5, 0.95, 0.99),
                meaning="From request to the first token of the answer: queue, picture and prompt. The "
                f"alert is on P{100 * limits.first_token_quantile:g}.",
                limit=Limit(limits.first_token_seconds, view.alert("FirstTokenSlow")),
            ),
            time_series(
                view,
                "Whole answer",
                units.Seconds,
                *quantiles(f"vllm:e2e_request_latency_seconds_bucket{where}", "", 0.5, 0.95, 0.99),
                meaning=f"From request to last token. The alert is on P{100 * limits.latency_quantile:g}.",
                limit=Limit(limits.latency_seconds, view.alert("ModelLatencyHigh")),
            ),
            time_series(
                view,
                "Between tokens",
                units.Seconds,
                *quantiles(f"vllm:inter_token_latency_seconds_bucket{where}", "", 0.5, 0.95, 0.99),
                meaning="Between two tokens of an answer: how fluently text appears.",
            ),
        ],
        per_line=3,
    )


def _throughput(view: View) -> Section:
    limits, where = view.limits, _where(view)
    generated = f"sum by (pod) (rate(vllm:generation_tokens_total{where}[$__rate_interval]))"
    busy = f"sum by (pod) (min_over_time(vllm:num_requests_running{where}[2m])) > 0"
    return Section(
        "Throughput and errors",
        [
            time_series(
                view,
                "Requests by status",
                units.RequestsPerSecond,
                Query(f"sum by (status) ({_answers(view)})", "{{status}}"),
                meaning="Requests for answers per second, by class of status code.",
                stacked=True,
                colours=STATUS,
            ),
            time_series(
                view,
                "Failed requests by model",
                units.PercentUnit,
                Query(_failed_part(view), "{{model}}"),
                meaning="Part of the requests that is answered with 5xx.",
                limit=Limit(limits.failed_request_percent / 100, view.alert("RequestsFailing")),
            ),
            time_series(
                view,
                "Tokens",
                TOKENS_PER_SECOND,
                Query(f"sum(rate(vllm:generation_tokens_total{where}[$__rate_interval]))", "generated"),
                Query(f"sum(rate(vllm:prompt_tokens_total{where}[$__rate_interval]))", "prompt"),
                meaning="Tokens per second, all replicas together: of prompts and pictures, and of answers.",
            ),
            time_series(
                view,
                "Tokens generated by busy replica",
                TOKENS_PER_SECOND,
                Query(f"{generated} and {busy}", "{{pod}}"),
                meaning="Tokens of answers per second, of replicas that have had requests all the time; the "
                "others generate none, and are well.",
                limit=Limit(limits.tokens_per_second, view.alert("TokenRateLow")),
            ),
        ],
        per_line=4,
    )


def _engine(view: View) -> Section:
    limits, where = view.limits, _where(view)
    hits, asked = (
        f"sum by (pod) (rate(vllm:prefix_cache_{what}_total{where}[$__rate_interval]))"
        for what in ("hits", "queries")
    )
    return Section(
        "Engine",
        [
            time_series(
                view,
                "Queue",
                units.Short,
                Query(f"sum by (pod) (vllm:num_requests_waiting{where})", "{{pod}} waiting"),
                Query(f"sum by (pod) (vllm:num_requests_running{where})", "{{pod}} running"),
                meaning="Requests that an engine works on, and those that wait for it.",
            ),
            time_series(
                view,
                "Time in the queue",
                units.Seconds,
                *quantiles(f"vllm:request_queue_time_seconds_bucket{where}", "", 0.5, 0.95, 0.99),
                meaning="Before an engine begins with a request.",
            ),
            time_series(
                view,
                "KV cache",
                units.PercentUnit,
                Query(f"max by (pod) (vllm:kv_cache_usage_perc{where})", "{{pod}}"),
                meaning="Part of each engine's KV cache that is in use. The alert begins here, and only "
                "while requests wait.",
                limit=Limit(limits.kv_cache_percent / 100, view.alert("KvCacheFull")),
                most=1,
            ),
            time_series(
                view,
                "Prefix cache",
                units.PercentUnit,
                Query(f"{hits} / {asked}", "{{pod}}"),
                meaning="Part of the prompts' tokens that was found in the prefix cache and not computed.",
                most=1,
            ),
        ],
        per_line=4,
    )


def _replicas(view: View) -> Section:
    where = f'{{namespace="{view.stack.namespace}"}}'
    return Section(
        "Replicas",
        [
            time_series(
                view,
                "Replicas wanted and available",
                units.Short,
                Query(f"sum by (deployment) (kube_deployment_spec_replicas{where})", "{{deployment}} wanted"),
                Query(
                    f"sum by (deployment) (kube_deployment_status_replicas_available{where})",
                    "{{deployment}} available",
                ),
                meaning="Of the Deployments in the models' namespace.",
                runbooks=[view.alert("ReplicasUnavailable")],
            ),
            time_series(
                view,
                "Restarts of containers",
                units.Short,
                Query(
                    f"sum by (pod) (increase(kube_pod_container_status_restarts_total{where}[5m])) > 0",
                    "{{pod}}",
                ),
                meaning="Within five minutes, of the pods that had any.",
                bars=True,
                runbooks=[view.alert("PodsRestarting"), view.alert("WeightsRefused")],
            ),
            time_series(
                view,
                "Pre-empted requests",
                units.Short,
                Query(f"sum by (pod) (increase(vllm:num_preemptions_total{where}[15m]))", "{{pod}}"),
                meaning="Within a quarter of an hour: requests that lost their place in the KV cache and are "
                "computed anew.",
            ),
        ],
        per_line=3,
    )
