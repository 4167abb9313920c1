"""Events of the API server (audit.k8s.io/v1), one JSON object a line.

Fields: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from __future__ import annotations

import json
from typing import Any, Final

from audit_trail.errors import Unreadable
from audit_trail.records import (
    FAILURE,
    KUBERNETES,
    Record,
    address,
    identity,
    parse_time,
    result_of,
    text,
)
from audit_trail.sources.line import Line

_STAGES: Final = ("ResponseStarted", "ResponseComplete", "Panic")
_LONG_VERBS: Final = frozenset({"watch", "proxy"})
_LONG_SUBRESOURCES: Final = frozenset({"attach", "exec", "proxy", "log", "portforward"})
"""Requests that the API server calls long-running (BasicLongRunningRequestCheck of its configuration): their
answer begins and ends in events of its own."""
_WAYS_IN: Final = frozenset({"exec", "attach", "portforward", "proxy", "ephemeralcontainers"})


def read(line: Line) -> Record | None:
    """The record of an event; None for the second event of one request, which tells nothing new."""
    try:
        event = json.loads(line.text)
    except (ValueError, RecursionError):
        raise Unreadable("no JSON") from None
    if not isinstance(event, dict) or event.get("kind") != "Event":
        raise Unreadable("no audit event")
    if event.get("apiVersion") != "audit.k8s.io/v1":
        raise Unreadable("an audit event of another version than audit.k8s.io/v1")
    verb, audit_id, stage = (text(event.get(key)) for key in ("verb", "auditID", "stage"))
    if verb is None or audit_id is None or stage is None:
        raise Unreadable("an event without verb, auditID or stage")
    if stage == "RequestReceived":
        return None
    if stage not in _STAGES:
        raise Unreadable("an event of an unknown stage")
    target = _part(event, "objectRef")
    subresource = text(target.get("subresource"))
    if stage == "ResponseComplete" and (verb in _LONG_VERBS or subresource in _LONG_SUBRESOURCES):
        return None
    status = _part(event, "responseStatus").get("code")
    if status is not None and (type(status) is not int or not 100 <= status <= 599):
        raise Unreadable("an event with a strange status")
    addresses = event.get("sourceIPs")
    return Record(
        id=identity(KUBERNETES, audit_id, stage),
        timestamp=parse_time(event.get("requestReceivedTimestamp")),
        source=KUBERNETES,
        # Whichever verb a client uses for it, this is what it does.
        action=subresource if subresource in _WAYS_IN else verb,
        resource=_resource(event, target, subresource),
        result=FAILURE if status is None else result_of(status),
        user=_user(event),
        ip=address(addresses[0]) if isinstance(addresses, list) and addresses else None,
        status=status,
        trace_id=audit_id,
        namespace=text(target.get("namespace")),
        name=text(target.get("name")),
        node=line.node,
    )


def _part(event: dict[str, Any], key: str) -> dict[str, Any]:
    value = event.get(key) or {}
    if not isinstance(value, dict):
        raise Unreadable(f"an event whose {key} is no object")
    return value


def _user(event: dict[str, Any]) -> str | None:
    """Who asked; who acted as somebody else is named with whom."""
    user = text(_part(event, "user").get("username"))
    if acted_as := text(_part(event, "impersonatedUser").get("username")):
        return text(f"{user} as {acted_as}")
    return user


def _resource(event: dict[str, Any], target: dict[str, Any], subresource: str | None) -> str:
    if (resource := text(target.get("resource"))) is None:
        # Queries of addresses may hold anything, also the command of exec.
        address_of = text(event.get("requestURI"))
        if address_of is None:
            raise Unreadable("an event without object and address")
        return address_of.partition("?")[0] or "/"
    group = text(target.get("apiGroup"))
    return (
        text(f"{resource}{f'.{group}' if group else ''}{f'/{subresource}' if subresource else ''}")
        or resource
    )
