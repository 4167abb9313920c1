"""Rules on etcd: encrypted both ways, and backed up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from policies.kubernetes import Container, pods_of
from policies.resource import Resource
from policies.rule import Rule, Stack, StackRule, StackViolation
from policies.values import UNKNOWN, child, elements, entries, safe_key

_URL_KEYS: Final = (
    "listen-client-urls",
    "listen-peer-urls",
    "advertise-client-urls",
    "initial-advertise-peer-urls",
)
_TRANSPORTS: Final[Mapping[str, str]] = {
    "client-transport-security": "client-cert-auth",
    "peer-transport-security": "peer-client-cert-auth",
}
"""Sections of a configuration file, and the flags that say the same."""
_PLAIN_URL: Final = re.compile(r"http://(?!127\.0\.0\.1[:/]|localhost[:/]|\[::1\])")
_FLAG: Final = re.compile(r"--([a-z0-9-]+)(?:=(.*))?", re.DOTALL)
_SERVER: Final = re.compile(r"(?:.*/)?etcd")
_BACKUP: Final = re.compile(r"snapshot|backup", re.IGNORECASE)
_MAX_TEXT: Final = 1_000_000


def _is_server(container: Container) -> bool:
    """Runs etcd itself, by its command or by flags that nothing else has."""
    command = [item for _, item in elements(container.body.get("command")) if isinstance(item, str)]
    return bool(command and _SERVER.fullmatch(command[0])) or "listen-client-urls" in _flags(container)


def _flags(container: Container) -> dict[str, str]:
    """Flags of a container with their values, those of the environment too."""
    found: dict[str, str] = {}
    for key in ("command", "args"):
        items = [item for _, item in elements(container.body.get(key)) if isinstance(item, str)]
        for index, item in enumerate(items):
            match = _FLAG.fullmatch(item)
            if match is None:
                continue
            following = items[index + 1] if index + 1 < len(items) else ""
            value = match[2] if match[2] is not None else "" if following.startswith("--") else following
            found[match[1]] = value or "true"
    for _, variable in elements(container.body.get("env")):
        name, value = child(variable, "name"), child(variable, "value")
        if isinstance(name, str) and name.startswith("ETCD_") and isinstance(value, str):
            found.setdefault(name.removeprefix("ETCD_").lower().replace("_", "-"), value)
    return found


def _flag_problems(container: Container) -> list[str]:
    flags = _flags(container)
    if not _is_server(container) or "config-file" in flags:
        return []
    found = [
        f"{container}: --{key} is not https" for key in _URL_KEYS if _PLAIN_URL.search(flags.get(key, ""))
    ]
    found += [
        f"{container}: --{flag} is not set" for flag in _TRANSPORTS.values() if flags.get(flag) != "true"
    ]
    return found


def _configurations(resource: Resource) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Configuration files of etcd in ConfigMaps and Secrets, where they are JSON."""
    for one in resource.of_kind("ConfigMap", "Secret"):
        for section in ("data", "stringData"):
            for key, value in entries(child(one.body, section)):
                if not isinstance(value, str) or len(value) > _MAX_TEXT or "listen-client-urls" not in value:
                    continue
                try:
                    parsed = json.loads(value)
                except (ValueError, RecursionError):
                    continue
                if isinstance(parsed, Mapping):
                    yield f"{one} {one.at(section, safe_key(key))}", parsed


def _tls(resource: Resource) -> list[str]:
    found = [problem for container in resource.containers for problem in _flag_problems(container)]
    for path, configuration in _configurations(resource):
        found += [
            f"{path}: {key} is not https"
            for key in _URL_KEYS
            for value in (configuration.get(key),)
            if isinstance(value, str) and _PLAIN_URL.search(value)
        ]
        found += [
            f"{path}: {section}.client-cert-auth is not true"
            for section in _TRANSPORTS
            if child(configuration, section, "client-cert-auth") is not True
        ]
    return found


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    if depth < 32:
        for _, item in elements(value):
            yield from _texts(item, depth + 1)
        for key, item in entries(value):
            yield key
            yield from _texts(item, depth + 1)


def _backups(stack: Stack) -> list[StackViolation]:
    """Namespaces with an etcd and no job that takes snapshots of it."""
    servers: list[tuple[str, object]] = []
    backed_up: set[str] = set()
    unknown = False
    for resource, one in stack.objects:
        if one.builtin and one.kind == "CronJob" and any(map(_BACKUP.search, _texts(one.body))):
            unknown = unknown or one.namespace is UNKNOWN
            backed_up |= {one.namespace} if isinstance(one.namespace, str) else set()
        elif any(_is_server(container) for pod in pods_of(one) for container in pod.containers()):
            servers.append((resource.urn, one.namespace))
    return [
        StackViolation(urn, "no CronJob takes snapshots of this etcd")
        for urn, namespace in servers
        if not unknown
        and (namespace not in backed_up if isinstance(namespace, str) else not (backed_up or unknown))
    ]


RULES: Final = (
    Rule(
        id="etcd-tls",
        severity="critical",
        title="etcd speaks TLS to clients and peers, and knows both by their certificates",
        rationale="Who reaches it in the clear reads and writes everything that the platform relies on.",
        fix="use https URLs and set client-cert-auth for clients and for peers",
        judge=_tls,
    ),
)
"""Rules on single resources."""

STACK_RULES: Final = (
    StackRule(
        id="etcd-backup",
        severity="high",
        title="Every etcd is backed up",
        rationale="After the loss of a majority a snapshot is the only way back.",
        fix="add a CronJob that takes snapshots, in the same namespace",
        judge=_backups,
    ),
)
"""Rules on a stack as a whole."""
