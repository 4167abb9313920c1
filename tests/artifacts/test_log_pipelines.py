"""Logstash's pipelines, judged without Logstash.

Their syntax by a parser of its configuration language; their patterns by Oniguruma, on lines that real
programs have written (`log_lines/`), as they ran on an embedded cluster or on loopback: vLLM 0.32, etcd 3.6,
Kubernetes 1.36, containerd 2.4, CoreDNS 1.14, HAProxy 2.6 and keepalived 2.2. Logstash's engine, Joni, is a
port of Oniguruma.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from components.logging.pipelines import grok, logstash
from components.logging.pipelines.access import GATEWAY, MODEL, AccessLog
from components.logging.pipelines.grok import ALL_DEFINITIONS, LEVELS, PATTERNS
from components.logging.pipelines.masks import MASKS
from tests.artifacts.logstash_filters import Grok, substitute
from tests.artifacts.test_log_masking import KEPT, MASKED
from tests.harness.commands import run
from toolchain import golang
from toolchain.errors import ToolchainError

LINES = Path(__file__).with_name("log_lines")


@dataclass(frozen=True)
class Parsed:
    """What grok makes of a line."""

    name: str
    fields: dict[str, str]


@cache
def compiled() -> tuple[tuple[str, Grok], ...]:
    return tuple((one.name, Grok(one.pattern, ALL_DEFINITIONS)) for one in PATTERNS)


def parse(line: str) -> Parsed | None:
    """By the first pattern that fits, as Logstash does it."""
    for name, one in compiled():
        if (fields := one.match(line)) is not None:
            return Parsed(name, fields)
    return None


def recorded(name: str) -> list[str]:
    return (LINES / f"{name}.log").read_text(encoding="utf-8").splitlines()


PLAIN = {
    "vllm": {"vllm", "uvicorn-access", "level-colon", "klog"},
    "kubelet": {"klog"},
    "kube-apiserver": {"klog"},
    "containerd": {"logfmt"},
    "haproxy": {"haproxy-http", "haproxy-tcp", "level"},
    "keepalived": {"keepalived"},
    "coredns": {"level"},
}
UNPARSED = {
    # What programs say without time and level.
    "vllm": {"weights: ", "[transformers]", "/usr/", "  "},
    "haproxy": {"Server "},
    "coredns": {"maxprocs: ", ".:53", "CoreDNS-", "linux/"},
}


@pytest.mark.parametrize("program", PLAIN)
def test_recorded_lines_are_taken_apart(program: str) -> None:
    found: Counter[str] = Counter()
    lines = recorded(program)
    assert lines
    for line in lines:
        parsed = parse(line)
        if parsed is None:
            assert line.startswith(tuple(UNPARSED.get(program, ()))), line
            continue
        assert parsed.name in PLAIN[program], (parsed.name, line)
        found[parsed.name] += 1
        if parsed.name != "keepalived" and not parsed.name.startswith("haproxy-"):
            level = parsed.fields["[log][level]"]
            assert LEVELS.get(level, level).lower() in {"debug", "info", "warning", "error"}, line
        if parsed.name not in {"uvicorn-access", "haproxy-http", "haproxy-tcp"}:
            assert line.endswith(parsed.fields["[@metadata][text]"])
    assert found, f"no line of {program} was taken apart"


def test_lines_of_etcd_are_json() -> None:
    assert all(line.startswith("{") for line in recorded("etcd"))


EXAMPLES: list[tuple[str, str, dict[str, str]]] = [
    (
        "(APIServer pid=1) INFO 11-21 12:33:59 [model.py:733] Resolved architecture: Glm4v",
        "vllm",
        {
            "[process][title]": "(APIServer pid=1)",
            "[log][level]": "INFO",
            "timestamp": "11-21 12:33:59",
            "[log][origin][source]": "model.py:733",
            "[@metadata][text]": "Resolved architecture: Glm4v",
        },
    ),
    (
        'INFO:     10.244.0.1:32958 - "POST /v1/chat/completions?x=1 HTTP/1.1" 400 Bad Request',
        "uvicorn-access",
        {
            "[log][level]": "INFO",
            "[source][ip]": "10.244.0.1",
            "[source][port]": "32958",
            "[http][request][method]": "POST",
            "[url][path]": "/v1/chat/completions",
            "[http][response][status_code]": "400",
        },
    ),
    (
        'E1121 11:58:49.730565       1 daemon_controller.go:411] "Unhandled Error" err="x"',
        "klog",
        {
            "[log][level]": "E",
            "timestamp": "1121 11:58:49.730565",
            "[process][pid]": "1",
            "[log][origin][source]": "daemon_controller.go:411",
            "[@metadata][text]": '"Unhandled Error" err="x"',
        },
    ),
    (
        "127.0.0.1:57480 [21/Nov/2026:12:34:58.744] model_api~ model_servers/model-0 0/0/-1/-1/3009 503 217 "
        '- - SC-- 1/1/0/0/3 0/0 "GET /health HTTP/1.1"',
        "haproxy-http",
        {
            "[source][ip]": "127.0.0.1",
            "[source][port]": "57480",
            "timestamp": "21/Nov/2026:12:34:58.744",
            "[haproxy][frontend]": "model_api~",
            "[haproxy][backend]": "model_servers",
            "[haproxy][server]": "model-0",
            "[haproxy][milliseconds][request]": "0",
            "[haproxy][milliseconds][queue]": "0",
            "[haproxy][milliseconds][connect]": "-1",
            "[haproxy][milliseconds][response]": "-1",
            "[haproxy][milliseconds][total]": "3009",
            "[http][response][status_code]": "503",
            "[http][response][bytes]": "217",
            "[haproxy][termination]": "SC--",
            "[http][request][method]": "GET",
            "[url][path]": "/health",
        },
    ),
    (
        "2026-11-21 12:00:01,123 [main] ERROR: 中文消息",
        "iso",
        {"timestamp": "2026-11-21 12:00:01,123", "[log][level]": "ERROR", "[@metadata][text]": "中文消息"},
    ),
    (
        'time="2026-11-21T08:38:18.970438030Z" level=info msg="starting containerd" version=v2.4.2',
        "logfmt",
        {
            "timestamp": "2026-11-21T08:38:18.970438030Z",
            "[log][level]": "info",
            "[@metadata][text]": 'msg="starting containerd" version=v2.4.2',
        },
    ),
]


@pytest.mark.parametrize(("line", "name", "fields"), EXAMPLES, ids=[name for _, name, _ in EXAMPLES])
def test_fields_of_a_line(line: str, name: str, fields: dict[str, str]) -> None:
    assert parse(line) == Parsed(name, fields)


@pytest.mark.parametrize("line", ["", "plain words", "INFORMATION: x", "Traceback (most recent call last):"])
def test_other_lines_are_left_as_they_are(line: str) -> None:
    assert parse(line) is None


def test_every_name_that_a_pattern_uses_is_defined_and_used() -> None:
    used = set().union(*(grok.used_names(one.pattern) for one in PATTERNS))
    used |= set().union(*(grok.used_names(text) for text in ALL_DEFINITIONS.values()))
    assert used <= set(ALL_DEFINITIONS)
    assert set(ALL_DEFINITIONS) - used == set()


ACCESS = (AccessLog(MODEL, "autoglm", "vllm"), AccessLog(GATEWAY, "entry", "haproxy"))
PIPELINES = {
    "pods": logstash.pods("default", ("audit", "collector"), ACCESS),
    "pods-without-audit": logstash.pods("default", None, ACCESS[:1]),
    "pods-without-access": logstash.pods("default", ("audit", "collector")),
    "pods-with-trail": logstash.pods("default", ("audit", "collector"), ACCESS, trail=True),
    "trail": logstash.trail("https://audit-collector.node-agents.svc:8443/records"),
    "dead-letters": logstash.dead_letters("default"),
    "files": logstash.files("/*.log"),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_parser_of_logstash_accepts_the_pipeline(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.conf"
    file.write_text(PIPELINES[name], encoding="utf-8")
    run([mustache(), "check", file]).succeeded()


def test_the_parser_refuses_a_pipeline_with_an_error(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.conf"
    file.write_text(PIPELINES["pods"].replace("} else if", "} elsif", 1), encoding="utf-8")
    assert "} elsif" in file.read_text(encoding="utf-8")
    run([mustache(), "check", file]).failed()


def mustache() -> Path:
    """The parser; skips where it cannot be had."""
    try:
        return golang.ensure_binaries("mustache")["mustache"]
    except (ToolchainError, OSError) as error:
        pytest.skip(f"mustache cannot be had: {error}")


def test_no_pipeline_holds_a_password() -> None:
    for name, text in PIPELINES.items():
        if name != "trail":
            assert 'password => "${LOGS_ES_PASSWORD}"' in text
        assert re.findall(r"password => (?!\"\$\{LOGS_ES_PASSWORD\}\")", text) == []
        assert "ssl_enabled => true" in text


HTTP = {
    # `config :…` of logstash-output-http 6.0.1, lib/logstash/outputs/http.rb.
    *("url", "http_method", "headers", "content_type", "retry_failed", "retryable_codes", "ignorable_codes"),
    *("mapping", "format", "http_compression", "message"),
    # `base.config :…` of logstash-mixin-http_client 7.5.0, lib/logstash/plugin_mixins/http_client.rb.
    *("request_timeout", "socket_timeout", "connect_timeout", "follow_redirects", "pool_max"),
    *("pool_max_per_route", "keepalive", "automatic_retries", "retry_non_idempotent"),
    *("validate_after_inactivity", "ssl_enabled", "ssl_certificate_authorities", "ssl_certificate"),
    *("ssl_key", "ssl_keystore_path", "ssl_keystore_password", "ssl_keystore_type"),
    *("ssl_verification_mode", "ssl_cipher_suites", "ssl_supported_protocols", "ssl_truststore_path"),
    *("ssl_truststore_password", "ssl_truststore_type", "cookies", "proxy", "user", "password"),
}
"""Options of the output `http` that Logstash 9 knows; what it does not know ends its start."""


def test_the_output_to_the_trail_has_options_that_the_plugin_knows() -> None:
    text = PIPELINES["trail"]
    block = text[text.index("  http {") : text.rindex("}\n}")]
    used = set(re.findall(r"^    (\w+) =>", block, re.MULTILINE))
    assert used <= HTTP
    assert {"ssl_certificate", "ssl_key", "ssl_certificate_authorities"} <= used
    # The mixin refuses more than one authority, and knows these two modes.
    assert re.search(r'ssl_certificate_authorities => \["[^",]+"\]', block)
    assert 'ssl_verification_mode => "full"' in block


def test_the_trail_gives_no_batch_up_for_what_is_not_its_fault() -> None:
    (codes,) = re.findall(r"retryable_codes => \[(.*)\]", PIPELINES["trail"])
    assert {int(code) for code in codes.split(", ")} == {403, 404, 408, 429, 500, 502, 503, 504}
    assert "retry_failed => true" in PIPELINES["trail"]


def test_only_records_that_are_made_here_go_to_the_trail() -> None:
    condition = 'if [data_stream][dataset] == "audit" and [source] in ["model", "gateway"] {'
    after = PIPELINES["pods-with-trail"].partition("\noutput {")[2]
    assert condition in after
    assert "send_to" not in PIPELINES["pods"]
    (sent,) = re.findall(r'send_to => \["(.*)"\]', after)
    (address,) = re.findall(r'address => "(.*)"', PIPELINES["trail"])
    assert sent == address


def masked(text: str) -> str:
    """One mask after the other."""
    for mask in MASKS:
        text = substitute(mask.pattern, mask.replacement, text)
    return text


@pytest.mark.parametrize("line", [line for line, _ in MASKED], ids=[line[:40] for line, _ in MASKED])
def test_files_that_logstash_reads_are_masked_too(line: str) -> None:
    from tests.artifacts import test_log_masking as table

    after = masked(line)
    assert after != line
    for secret in (table.PHONE, table.ID, table.ID_X, table.UNIONPAY, table.VISA, table.KEY, table.JWT):
        assert secret not in after
    assert table.PICTURE[:300] not in after
    assert not re.search(r"hunter2|138.1234.5678|wJalr|dXNl|[a-z]@[a-z]|0f1e2d3c", after)


LOOKS_LIKE = {
    # Without check digits these cannot be told from the real ones.
    line
    for line in KEPT
    if masked(line) != line
}


def test_without_check_digits_more_is_masked_and_it_is_known_what() -> None:
    assert len(LOOKS_LIKE) <= 7
    assert all(re.search(r"\d{11,}", line) for line in LOOKS_LIKE), LOOKS_LIKE
