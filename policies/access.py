"""Rules on who may do what with the API, and on credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from policies import credentials
from policies.kubernetes import Container, KubernetesObject
from policies.resource import Resource, each_container
from policies.rule import Bound, Rule
from policies.values import UNKNOWN, child, elements, entries, safe_key

Properties = Mapping[str, object]

_ESCALATING_VERBS: Final = frozenset({"bind", "escalate", "impersonate"})
_ESCALATING_RESOURCES: Final = frozenset({"nodes/proxy", "pods/exec", "pods/attach", "serviceaccounts/token"})
_READING: Final = frozenset({"get", "list", "watch"})
_WRITING: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_WEBHOOKS: Final = frozenset({"mutatingwebhookconfigurations", "validatingwebhookconfigurations"})
"""Who sets an admission webhook reads and changes every object that is written after that."""
_ADMIN_ROLES: Final = frozenset({"cluster-admin", "system:master", "system:masters"})
_EVERYBODY: Final = frozenset(
    {"system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
)
_CREDENTIAL_FLAG: Final = re.compile(r"--(?:api[-_]key|hf[-_]token|token|password)(?:[= ]|$)")


def _rules(resource: Resource) -> Iterator[tuple[str, object, bool]]:
    """Rules of roles: their path, they themselves, and whether they can hold in every namespace."""
    for role in resource.of_kind("Role", "ClusterRole"):
        for index, rule in elements(child(role.body, "rules")):
            yield f"{role} {role.at('rules')}[{index}]", rule, role.kind == "ClusterRole"


def _wildcards(resource: Resource) -> list[str]:
    return [
        f"{path}.{key}: includes *"
        for path, rule, _ in _rules(resource)
        for key in ("verbs", "resources", "apiGroups", "nonResourceURLs")
        if any(isinstance(item, str) and "*" in item for _, item in elements(child(rule, key)))
    ]


def _escalation(resource: Resource) -> list[str]:
    found: list[str] = []
    for path, rule, cluster_wide in _rules(resource):
        for key, refused in (("verbs", _ESCALATING_VERBS), ("resources", _ESCALATING_RESOURCES)):
            stated = {item for _, item in elements(child(rule, key)) if isinstance(item, str)}
            found += [f"{path}.{key}: includes {item}" for item in sorted(stated & refused)]
        resources, verbs = (
            {item for _, item in elements(child(rule, key)) if isinstance(item, str)}
            for key in ("resources", "verbs")
        )
        if child(rule, "resourceNames"):
            continue
        if cluster_wide and "secrets" in resources and verbs & (_READING | _WRITING):
            found.append(f"{path}.resources: includes secrets of every namespace")
        if verbs & _WRITING:
            found += [f"{path}.resources: includes any of {name}" for name in sorted(resources & _WEBHOOKS)]
    return found


def _bindings(resource: Resource) -> Iterator[KubernetesObject]:
    return resource.of_kind("RoleBinding", "ClusterRoleBinding")


def _admins(resource: Resource) -> list[str]:
    found: list[str] = []
    for binding in _bindings(resource):
        name = child(binding.body, "roleRef", "name")
        if isinstance(name, str) and name in _ADMIN_ROLES:
            found.append(f"{binding} {binding.at('roleRef', 'name')}: is {name}")
        found += [
            f"{binding} {binding.at('subjects')}[{index}].name: is system:masters"
            for index, subject in elements(child(binding.body, "subjects"))
            if child(subject, "name") == "system:masters"
        ]
    return found


def _everybody(resource: Resource) -> list[str]:
    return [
        f"{binding} {binding.at('subjects')}[{index}].name: is {name}"
        for binding in _bindings(resource)
        for index, subject in elements(child(binding.body, "subjects"))
        for name in (child(subject, "name"),)
        if isinstance(name, str) and name in _EVERYBODY
    ]


def _literal_credentials(container: Container) -> list[str]:
    found: list[str] = []
    for index, variable in elements(container.body.get("env")):
        name, value = child(variable, "name"), child(variable, "value")
        if not isinstance(name, str) or value in (None, UNKNOWN) or isinstance(value, Mapping | list | tuple):
            continue
        if credentials.is_credential(name, str(value)):
            found.append(f".env[{index}].value: {safe_key(name)} is written in the pod")
        else:
            found += [
                f".env[{index}].value: {what} is written in the pod"
                for what, _ in credentials.in_text(str(value))
            ]
    for key in ("command", "args"):
        items = [item for _, item in elements(container.body.get(key))]
        for index, item in enumerate(items):
            if not isinstance(item, str):
                continue
            match = _CREDENTIAL_FLAG.search(item)
            following = items[index + 1] if index + 1 < len(items) else ""
            value = item[match.end() :] if match and match.end() < len(item) else following
            if match and not (isinstance(value, str) and value.startswith("$(")) and value is not UNKNOWN:
                found.append(f".{key}[{index}]: a credential is written in the pod")
            elif not match:
                found += [
                    f".{key}[{index}]: {what} is written in the pod" for what, _ in credentials.in_text(item)
                ]
    return found


def _config_maps(resource: Resource, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Credentials in ConfigMaps, but under the keys that are allowed."""
    found: list[str] = []
    for one in resource.of_kind("ConfigMap"):
        for key, value in entries(child(one.body, "data")):
            if key not in allowed and isinstance(value, str):
                found += [
                    f"{one} {one.at('data')}[{safe_key(key)}]: line {line} holds {what}"
                    for what, line in credentials.in_setting(key, value)
                ]
        for key, value in entries(child(one.body, "binaryData")):
            if key not in allowed and isinstance(value, str):
                found += [
                    f"{one} {one.at('binaryData')}[{safe_key(key)}]: holds {what}"
                    for what, _ in credentials.forms(credentials.decoded(value))
                ]
    return found


RULES: Final = (
    Rule(
        id="rbac-wildcard",
        severity="critical",
        title="Roles name what they allow",
        rationale="A wildcard covers what will be added tomorrow, secrets and custom resources included.",
        fix="list API groups, resources and verbs",
        judge=_wildcards,
    ),
    Rule(
        id="rbac-escalation",
        severity="critical",
        title="No role leads to more rights than it states",
        rationale=(
            "Binding, impersonating, entering pods, every secret or any admission webhook makes an "
            "administrator of anybody."
        ),
        fix=(
            "remove the verb or resource; name secrets in a Role of their namespace, and webhooks in "
            "resourceNames"
        ),
        judge=_escalation,
    ),
    Rule(
        id="rbac-cluster-admin",
        severity="critical",
        title="Nobody is bound to cluster-admin",
        rationale="It is above every rule and quota of the cluster.",
        fix="bind a Role with what is needed",
        judge=_admins,
    ),
    Rule(
        id="rbac-everybody",
        severity="critical",
        title="No rights for everybody",
        rationale="These groups include every pod of the cluster, or everybody who can reach the API server.",
        fix="bind a named service account or group",
        judge=_everybody,
    ),
    Rule(
        id="container-credentials",
        severity="high",
        title="No credentials in a pod's definition",
        rationale="Everybody who may read pods, and every log of the API server, would have them.",
        fix="mount a Secret as a file, or use valueFrom.secretKeyRef",
        judge=each_container(_literal_credentials),
    ),
    Rule(
        id="config-map-credentials",
        severity="high",
        title="No credentials in a ConfigMap",
        rationale=(
            "The built-in role `view` reads ConfigMaps, and encryption at rest usually leaves them out."
        ),
        fix="move it to a Secret, and mount that as a file or refer to it by a variable",
        judge=_config_maps,
        bound=Bound("keys", "[-._A-Za-z0-9]{1,253}", "such as [example.conf]", beyond=_config_maps),
    ),
)
"""Rules on access."""
