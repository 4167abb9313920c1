"""Grok patterns by which plain log lines are taken apart.

Every name that a pattern uses is defined here, so that nothing depends on which patterns a release of
Logstash brings. Grok's own syntax: `%{NAME:field}`; the rest is Oniguruma's. Each pattern begins with `^`: a
line that does not fit is recognised as such at its first characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_FIELD: Final = re.compile(r"%\{(?P<name>[A-Z0-9_]+)(?::(?P<field>[^}:]+))?(?::(?P<type>int|float))?\}")

DEFINITIONS: Final[Mapping[str, str]] = {
    "LOG_LEVEL": r"(?:TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|CRITICAL|ALERT|FATAL|PANIC|EMERG"
    r"|trace|debug|info|notice|warning|warn|error|critical|alert|fatal|panic|emerg)",
    "LOG_KLOG_LEVEL": r"[IWEF]",
    "LOG_KLOG_TIME": r"\d{4} \d{2}:\d{2}:\d{2}\.\d{3,6}",
    "LOG_ISO_TIME": r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z| ?[+-]\d{2}:?\d{2})?",
    "LOG_VLLM_TIME": r"\d{2}-\d{2} \d{2}:\d{2}:\d{2}",
    "LOG_C_TIME": r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}",
    "LOG_HAPROXY_TIME": r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}\.\d{3}",
    "LOG_ADDRESS": r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)",
    "LOG_PORT": r"\d{1,5}",
    "LOG_NUMBER": r"-?\d+",
    "LOG_WORD": r"[^\s\"]+",
    "LOG_SOURCE": r"[^\s:\]]+:\d+",
    "LOG_PROCESS": r"\([A-Za-z0-9_ ]+ pid=\d+\)",
    "LOG_METHOD": r"[A-Z]{3,10}",
    # Masking puts blanks where a path was long: [300 characters].
    "LOG_PATH": r"(?:[^\s?#\"\[]|\[(?:\d+ characters\])?)*",
    # Whatever it holds, it must not hide the request.
    "LOG_QUERY": r"(?:[?#].*)?",
    "LOG_TRACE_ID": r"[0-9a-f]{32}",
    "LOG_TEXT": r".*",
}


@dataclass(frozen=True)
class LinePattern:
    """One form of lines."""

    name: str
    """Of the programs that write it."""
    pattern: str


PATTERNS: Final = (
    # k8s.io/klog and PyTorch: I1121 11:58:48.773144       1 shared_informer.go:409] "Caches are synced"
    LinePattern(
        "klog",
        r"^%{LOG_KLOG_LEVEL:[log][level]}%{LOG_KLOG_TIME:timestamp} +%{LOG_NUMBER:[process][pid]} "
        r"%{LOG_SOURCE:[log][origin][source]}\] %{LOG_TEXT:[@metadata][text]}$",
    ),
    # uvicorn's access log: INFO:     10.244.0.1:32958 - "GET /v1/models HTTP/1.1" 200 OK
    LinePattern(
        "uvicorn-access",
        r"^(?:%{LOG_PROCESS:[process][title]} )?%{LOG_LEVEL:[log][level]}: +%{LOG_ADDRESS:[source][ip]}:"
        r"%{LOG_PORT:[source][port]:int} - \"%{LOG_REQUEST}\" %{LOG_NUMBER:[http][response][status_code]:int}"
        r"(?: %{LOG_TEXT})?$",
    ),
    # vLLM: (APIServer pid=1) INFO 11-21 12:33:51 [api_utils.py:347] text
    LinePattern(
        "vllm",
        r"^(?:%{LOG_PROCESS:[process][title]} )?%{LOG_LEVEL:[log][level]} %{LOG_VLLM_TIME:timestamp} "
        r"\[%{LOG_SOURCE:[log][origin][source]}\] ?%{LOG_TEXT:[@metadata][text]}$",
    ),
    # HAProxy, `option httplog` and `option tcplog`.
    LinePattern(
        "haproxy-http",
        r"^%{LOG_ADDRESS:[source][ip]}:%{LOG_PORT:[source][port]:int} \[%{LOG_HAPROXY_TIME:timestamp}\] "
        r"%{LOG_WORD:[haproxy][frontend]} %{LOG_WORD:[haproxy][backend]}/%{LOG_WORD:[haproxy][server]} "
        r"%{LOG_NUMBER:[haproxy][milliseconds][request]:int}/%{LOG_NUMBER:[haproxy][milliseconds][queue]:int}/"
        r"%{LOG_NUMBER:[haproxy][milliseconds][connect]:int}/"
        r"%{LOG_NUMBER:[haproxy][milliseconds][response]:int}/"
        r"\+?%{LOG_NUMBER:[haproxy][milliseconds][total]:int} "
        r"%{LOG_NUMBER:[http][response][status_code]:int} "
        r"\+?%{LOG_NUMBER:[http][response][bytes]:int} %{LOG_WORD} %{LOG_WORD} "
        # A request line that is too long for a line of the log is cut, and has no closing quote.
        r"%{LOG_WORD:[haproxy][termination]} %{LOG_WORD} %{LOG_WORD} (?:%{LOG_CAPTURED} ){0,2}"
        r"\"(?:%{LOG_REQUEST}|<BADREQ>)\"?$",
    ),
    LinePattern(
        "haproxy-tcp",
        r"^%{LOG_ADDRESS:[source][ip]}:%{LOG_PORT:[source][port]:int} \[%{LOG_HAPROXY_TIME:timestamp}\] "
        r"%{LOG_WORD:[haproxy][frontend]} %{LOG_WORD:[haproxy][backend]}/%{LOG_WORD:[haproxy][server]} "
        r"%{LOG_NUMBER:[haproxy][milliseconds][queue]:int}/%{LOG_NUMBER:[haproxy][milliseconds][connect]:int}/"
        r"\+?%{LOG_NUMBER:[haproxy][milliseconds][total]:int} \+?%{LOG_NUMBER:[destination][bytes]:int} "
        r"%{LOG_WORD:[haproxy][termination]} %{LOG_WORD} %{LOG_WORD}$",
    ),
    # logfmt, as containerd, Prometheus and others write it: time="…" level=info msg="starting containerd"
    LinePattern(
        "logfmt",
        r"^(?:time|ts|t)=\"?%{LOG_ISO_TIME:timestamp}\"? level=%{LOG_LEVEL:[log][level]} "
        r"%{LOG_TEXT:[@metadata][text]}$",
    ),
    # keepalived: Sat Nov 21 12:35:21 2026: (VI_1) Entering MASTER STATE
    LinePattern("keepalived", r"^%{LOG_C_TIME:timestamp}: %{LOG_TEXT:[@metadata][text]}$"),
    # CoreDNS, HAProxy's own messages, uvicorn's: [INFO] text, [WARNING]  (7221) : text, INFO:     text
    LinePattern("level", r"^\[%{LOG_LEVEL:[log][level]}\] +%{LOG_TEXT:[@metadata][text]}$"),
    LinePattern(
        "level-colon",
        r"^(?:%{LOG_PROCESS:[process][title]} )?%{LOG_LEVEL:[log][level]}: +%{LOG_TEXT:[@metadata][text]}$",
    ),
    # Python's logging, log4j and the like: 2026-11-21 12:00:01,123 [main] ERROR text
    LinePattern(
        "iso",
        r"^\[?%{LOG_ISO_TIME:timestamp}\]?:? +(?:\[[^\]]*\] +)?\[?%{LOG_LEVEL:[log][level]}\]?:? +"
        r"%{LOG_TEXT:[@metadata][text]}$",
    ),
    LinePattern("iso-only", r"^\[?%{LOG_ISO_TIME:timestamp}\]?:? +%{LOG_TEXT:[@metadata][text]}$"),
)
_REQUEST: Final = (
    r"%{LOG_METHOD:[http][request][method]} %{LOG_PATH:[url][path]}%{LOG_QUERY}(?: HTTP/[0-9.]+)?"
)
_CAPTURED: Final = (
    r"\{(?:(?:[^}|]*\|)*00-%{LOG_TRACE_ID:[trace][id]}-[0-9a-f]{16}-[0-9a-f]{2}(?:\|[^}]*)?|[^}]*)\}"
)
"""Headers that HAProxy was told to note, divided by bars; a `traceparent` (W3C Trace Context) among them."""
ALL_DEFINITIONS: Final[Mapping[str, str]] = {
    **DEFINITIONS,
    "LOG_REQUEST": _REQUEST,
    "LOG_CAPTURED": _CAPTURED,
}

TIME_FORMATS: Final = (
    "ISO8601",
    "yyyy-MM-dd HH:mm:ss,SSS",
    "yyyy-MM-dd HH:mm:ss",
    "MMdd HH:mm:ss.SSSSSS",
    "MM-dd HH:mm:ss",
    "EEE MMM dd HH:mm:ss yyyy",
    "EEE MMM  d HH:mm:ss yyyy",
    "dd/MMM/yyyy:HH:mm:ss.SSS",
)
"""Of the fields above, as Logstash's date filter writes them (Joda-Time). Where no year is written, it takes
the current one."""

LEVELS: Final[Mapping[str, str]] = {
    "I": "info",
    "W": "warning",
    "E": "error",
    "F": "fatal",
    "warn": "warning",
    "WARN": "warning",
    "panic": "fatal",
    "PANIC": "fatal",
    "dpanic": "fatal",
    "emerg": "fatal",
    "EMERG": "fatal",
}
"""Other words for the same level. All are made lower case afterwards."""


def used_names(pattern: str) -> set[str]:
    """Names of definitions that a pattern refers to, directly."""
    return {found["name"] for found in _FIELD.finditer(pattern)}
