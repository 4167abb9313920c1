"""The rules as policies of the Pulumi SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rule import Rule, StackResource, StackRule
from policies.values import UNKNOWN


def plain(value: object) -> object:
    """Properties as plain dictionaries and lists, with UNKNOWN in place of what is not known yet.

    The SDK hands out proxies that raise when an unknown value is read, and then turns the whole rule's
    verdict into an advisory. Here the unknown part alone is left out.
    """
    if isinstance(value, Mapping):
        result: dict[str, object] = {}
        for key in value:
            try:
                result[key] = plain(value[key])
            except UnknownValueError:
                result[key] = UNKNOWN
        return result
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items: list[object] = []
        for index in range(len(value)):
            try:
                items.append(plain(value[index]))
            except UnknownValueError:
                items.append(UNKNOWN)
        return items
    return value


def _properties(value: object) -> dict[str, object]:
    result = plain(value)
    return result if isinstance(result, dict) else {}


class Pack:
    """The policies of a pack, and what they share while it runs.

    While a provider's configuration is unknown (a preview without kubeconfig) the engine asks the provider
    nothing and shows stack rules resources without any properties. The inputs of the same resources have been
    judged just before, one by one: they are kept and stand in for what is missing.
    """

    def __init__(self, rules: Sequence[Rule], stack_rules: Sequence[StackRule]) -> None:
        self._inputs: dict[str, dict[str, object]] = {}
        self.policies: list[Policy] = [
            *map(self._resource_policy, rules),
            *map(self._stack_policy, stack_rules),
        ]

    def _resource_policy(self, rule: Rule) -> Policy:
        """A rule on single resources, mandatory."""

        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            if not _is_kubernetes(args.resource_type):
                return
            properties = _properties(args.props)
            self._inputs[args.urn] = properties
            for violation in rule.violations(args.resource_type, properties):
                report(violation, None)

        return ResourceValidationPolicy(
            name=rule.id,
            description=f"{rule.title}.",
            validate=validate,
            enforcement_level=EnforcementLevel.MANDATORY,
            severity=Severity(rule.severity),
            remediation_steps=rule.fix,
        )

    def _stack_policy(self, rule: StackRule) -> Policy:
        """A rule on the stack, mandatory: at the end of a preview it keeps the update from starting."""

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            resources = [
                self._stack_resource(one) for one in args.resources if _is_kubernetes(one.resource_type)
            ]
            for violation in rule.violations(resources):
                report(violation.message, violation.urn)

        return StackValidationPolicy(
            name=rule.id,
            description=f"{rule.title}.",
            validate=validate,
            enforcement_level=EnforcementLevel.MANDATORY,
            severity=Severity(rule.severity),
            remediation_steps=rule.fix,
        )

    def _stack_resource(self, resource: PolicyResource) -> StackResource:
        outputs = {key: value for key, value in _properties(resource.props).items() if value is not UNKNOWN}
        sources = (resource.dependencies, *resource.property_dependencies.values())
        return StackResource(
            resource.resource_type,
            resource.urn,
            self._inputs.get(resource.urn, {}) | outputs,
            frozenset(one.urn for group in sources for one in group),
        )


def _is_kubernetes(token: str) -> bool:
    return token.startswith("kubernetes:")
