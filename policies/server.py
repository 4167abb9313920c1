"""The pack as the engine's analyzer: every resource is decoded once and given to the rules of its type.

It speaks the same protocol as the SDK's `PolicyPack`, which decodes a resource once per rule, cannot tell a
misspelt key of a levels file, and has one level for all that a rule finds. Here a violation under an
exemption becomes an advisory of `exemption`, so no run is silent about it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pulumi.runtime.proto import analyzer_pb2, plugin_pb2

from policies.decoding import properties
from policies.levels import Exemption, Level, Levels, LevelsError, parse
from policies.preview import PREVIEWED_RULE, UNKNOWN_RULE, unknown_values
from policies.previewed import Previews, Record
from policies.resource import Resource
from policies.rule import AnyRule, Rule, Severity, Stack, StackResource, StackRule
from policies.values import UNKNOWN

NAME: Final = "autoglm-platform"
VERSION: Final = "0.0.1"
_MAX_MESSAGE_BYTES: Final = 400 * 1024 * 1024
"""As in the SDK: a stack's resources arrive in one message."""
_SERVICE: Final = "pulumirpc.Analyzer"
_WORKERS: Final = 4
_SEVERITIES: Final[Mapping[Severity, analyzer_pb2.PolicySeverity.ValueType]] = {
    "medium": analyzer_pb2.POLICY_SEVERITY_MEDIUM,
    "high": analyzer_pb2.POLICY_SEVERITY_HIGH,
    "critical": analyzer_pb2.POLICY_SEVERITY_CRITICAL,
}
_ENFORCEMENT: Final[Mapping[Level, analyzer_pb2.EnforcementLevel.ValueType]] = {
    "mandatory": analyzer_pb2.MANDATORY,
    "advisory": analyzer_pb2.ADVISORY,
    "disabled": analyzer_pb2.DISABLED,
}
_LEVEL_NAMES: Final[Mapping[int, str]] = {
    int(analyzer_pb2.MANDATORY): "mandatory",
    int(analyzer_pb2.ADVISORY): "advisory",
    int(analyzer_pb2.DISABLED): "disabled",
    # There is nothing to remediate with, so nothing is changed and a violation stands.
    int(analyzer_pb2.REMEDIATE): "mandatory",
}


EXEMPTION: Final = "exemption"
"""Under this name every use of an exemption is reported, as an advisory."""
_EXEMPTION_TITLE: Final = "An exemption is in use"


@dataclass(frozen=True)
class Finding:
    """A violation and how strictly it counts."""

    rule: str
    title: str
    severity: Severity
    level: Level
    message: str
    urn: str = ""


class Pack:
    """The rules of a pack with the levels of a stack, and what they share while they run.

    While a provider's configuration is unknown (a preview without kubeconfig) the engine asks the provider
    nothing and shows stack rules resources without any properties. The inputs of the same resources have been
    judged just before, one by one: they are kept and stand in for what is missing.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        stack_rules: Sequence[StackRule],
        levels: Levels | None = None,
        *,
        preview: bool = False,
        previews: Previews | None = None,
        today: Callable[[], datetime.date] = lambda: datetime.datetime.now(datetime.UTC).date(),
    ) -> None:
        self.rules: tuple[AnyRule, ...] = (*rules, *stack_rules)
        self._rules, self._stack_rules = tuple(rules), tuple(stack_rules)
        self._levels = levels or Levels()
        self.preview = preview
        """Values can be unknown."""
        self._previews = previews or Previews()
        self._record: Record | None = None
        self._refused = False
        self._unpreviewed: str | None = None
        self._told = False
        self._today = today
        self._by_type: dict[str, tuple[Rule, ...]] = {}
        self._inputs: dict[str, Resource] = {}
        self._used: set[tuple[str, Exemption]] = set()
        self._lock = threading.Lock()

    def configure(self, content: Mapping[str, object]) -> None:
        """Take the levels of a stack; raises LevelsError if anything is wrong with them."""
        levels, problems = parse(content, self.rules, self._today())
        if problems:
            raise LevelsError(
                "policy levels refused, nothing was judged:\n" + "\n".join(f"  {one}" for one in problems)
            )
        self._levels = levels
        if self._record is not None:
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
            self._record = self._record._replace(levels=digest)
            self._unpreviewed = None if self.preview else self._previews.take(self._record)

    def runs(self, stack: str, *, preview: bool) -> None:
        """Hear that the engine previews or updates a stack, instead of judging recorded state."""
        self.preview = preview
        self._record = Record(stack, "")
        self._unpreviewed = None if preview else "the engine has passed no levels"

    def judge(self, resource: Resource) -> list[Finding]:
        """What the rules say of a resource."""
        with self._lock:
            self._inputs[resource.urn] = resource
            rules = self._by_type.get(resource.token)
            if rules is None:
                rules = tuple(rule for rule in self._rules if rule.judges(resource.token))
                self._by_type[resource.token] = rules
        findings = self._of_update(resource)
        for rule in rules:
            if self._levels.level(rule.id) == "disabled":
                continue
            if rule.id == UNKNOWN_RULE and self.preview:
                findings += self._findings(rule, unknown_values(resource), resource.urn)
            else:
                findings += self._findings(rule, rule.violations(resource), resource.urn, resource)
        self._note(findings)
        return findings

    def _of_update(self, resource: Resource) -> list[Finding]:
        """That an update was not previewed: on every resource, so that none is made with --continue-on-error
        either; where the rule is lowered, once."""
        if self._unpreviewed is None:
            return []
        rule = next((one for one in self._rules if one.id == PREVIEWED_RULE), None)
        level = self._levels.level(PREVIEWED_RULE)
        if rule is None or level == "disabled":
            return []
        with self._lock:
            if self._told and level == "advisory":
                return []
            self._told = True
        return self._findings(rule, [f"{self._unpreviewed}; {rule.fix}"], resource.urn)

    def _note(self, findings: Sequence[Finding]) -> None:
        self._refused = self._refused or any(one.level == "mandatory" for one in findings)

    def resource(self, token: str, found: Mapping[str, object], urn: str, protect: bool) -> Resource:
        """A resource with the settings of the stack."""
        return Resource(token, found, urn, protect, self._levels.options)

    def judge_stack(self, resources: Sequence[StackResource]) -> list[Finding]:
        """What the stack rules say, and which exemptions were of no use."""
        stack = Stack([self._completed(one) for one in resources], self._levels.options)
        findings: list[Finding] = []
        for rule in self._stack_rules:
            if self._levels.level(rule.id) == "disabled":
                continue
            by_urn: dict[str, list[str]] = {}
            for found in rule.violations(stack):
                by_urn.setdefault(found.urn, []).append(found.message)
            for urn, messages in by_urn.items():
                findings += self._findings(rule, messages, urn)
        urns = [one.urn for one in resources]
        for rule_id, exemptions in self._levels.exemptions.items():
            findings += [
                _exempted(f"{rule_id}: not needed for {one.resource}; remove it", "")
                for one in exemptions
                if (rule_id, one) not in self._used and any(one.covers(urn) for urn in urns)
            ]
        self._note(findings)
        # The engine asks this last, and only if nothing has stopped it before.
        if self.preview and self._record is not None and not self._refused:
            self._previews.passed(self._record)
        return findings

    def _completed(self, resource: StackResource) -> StackResource:
        inputs = self._inputs.get(resource.urn)
        if inputs is None:
            return resource
        known = {key: value for key, value in resource.properties.items() if value is not UNKNOWN}
        return StackResource(
            resource.token,
            resource.urn,
            {**inputs.properties, **known},
            resource.dependencies,
            resource.sources,
            resource.protect or inputs.protect,
        )

    def _findings(
        self, rule: AnyRule, messages: Sequence[str], urn: str, resource: Resource | None = None
    ) -> list[Finding]:
        """A rule's violations on a resource, or that they are exempted, and what is beyond the exemption."""
        if not messages:
            return []
        exemption = self._levels.exemption(rule.id, urn, self._today())
        if exemption is not None:
            with self._lock:
                self._used.add((rule.id, exemption))
            used = _exempted(f"{rule.id}: {exemption.reason}; until {exemption.expires}", urn)
            if resource is None or not isinstance(rule, Rule):
                return [used]
            left = rule.beyond(resource, exemption.allowed)
            return [used, *self._violations(rule, left, urn)]
        return self._violations(rule, messages, urn)

    def _violations(self, rule: AnyRule, messages: Sequence[str], urn: str) -> list[Finding]:
        level = self._levels.level(rule.id)
        return [Finding(rule.id, rule.title, rule.severity, level, message, urn) for message in messages]

    def info(self) -> analyzer_pb2.AnalyzerInfo:
        """The pack's description for the engine."""
        info = analyzer_pb2.AnalyzerInfo(name=NAME, version=VERSION, supportsConfig=True)
        for rule in self.rules:
            entry = analyzer_pb2.PolicyInfo(
                name=rule.id,
                description=f"{rule.title}.",
                enforcementLevel=analyzer_pb2.MANDATORY,
                severity=_SEVERITIES[rule.severity],
                remediation_steps=rule.fix,
                policy_type=(
                    analyzer_pb2.POLICY_TYPE_RESOURCE
                    if isinstance(rule, Rule)
                    else analyzer_pb2.POLICY_TYPE_STACK
                ),
            )
            info.policies.append(entry)
        info.policies.append(
            analyzer_pb2.PolicyInfo(
                name=EXEMPTION,
                description=f"{_EXEMPTION_TITLE}.",
                enforcementLevel=analyzer_pb2.ADVISORY,
                severity=analyzer_pb2.POLICY_SEVERITY_MEDIUM,
                policy_type=analyzer_pb2.POLICY_TYPE_RESOURCE,
            )
        )
        return info


def _exempted(message: str, urn: str) -> Finding:
    return Finding(EXEMPTION, _EXEMPTION_TITLE, "medium", "advisory", message, urn)


class Analyzer:
    """The protocol around a pack. An exception in here ends the engine's run: it fails closed.

    Remediate is left out: nothing is ever changed silently, and the engine takes the answer that there is no
    such method, which costs a third less than an empty one, for every resource.
    """

    def __init__(self, pack: Pack) -> None:
        self._pack = pack

    def Analyze(
        self, request: analyzer_pb2.AnalyzeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzeResponse:
        """Judge a resource before it is created or changed."""
        resource = self._pack.resource(
            request.type, properties(request.properties), request.urn, request.options.protect
        )
        return _response(self._pack.judge(resource))

    def AnalyzeStack(
        self, request: analyzer_pb2.AnalyzeStackRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzeResponse:
        """Judge the stack as a whole."""
        return _response(
            self._pack.judge_stack([_stack_resource(one) for one in request.resources]), stack=True
        )

    def GetAnalyzerInfo(self, request: Empty, context: grpc.ServicerContext) -> analyzer_pb2.AnalyzerInfo:
        """The rules."""
        return self._pack.info()

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def Configure(
        self, request: analyzer_pb2.ConfigureAnalyzerRequest, context: grpc.ServicerContext
    ) -> Empty:
        """Take the levels file that was passed, merged by the engine with what holds anyway."""
        content = {
            name: {"enforcementLevel": _LEVEL_NAMES.get(config.enforcementLevel)}
            | MessageToDict(config.properties)
            for name, config in request.policyConfig.items()
            if name not in ("all", EXEMPTION)
        }
        try:
            self._pack.configure(content)
        except LevelsError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return Empty()

    def ConfigureStack(
        self, request: analyzer_pb2.AnalyzerStackConfigureRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzerStackConfigureResponse:
        """Hear whether this is a preview or an update of a stack; recorded state is judged without a name."""
        if request.stack:
            stack = "/".join((request.organization, request.project, request.stack))
            self._pack.runs(stack, preview=request.dry_run)
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def methods(self) -> grpc.GenericRpcHandler:
        """The methods by the names that the protocol has for them."""
        methods: Mapping[str, tuple[Callable[..., Message], type[Message]]] = {
            "Analyze": (self.Analyze, analyzer_pb2.AnalyzeRequest),
            "AnalyzeStack": (self.AnalyzeStack, analyzer_pb2.AnalyzeStackRequest),
            "GetAnalyzerInfo": (self.GetAnalyzerInfo, Empty),
            "GetPluginInfo": (self.GetPluginInfo, Empty),
            "Configure": (self.Configure, analyzer_pb2.ConfigureAnalyzerRequest),
            "ConfigureStack": (self.ConfigureStack, analyzer_pb2.AnalyzerStackConfigureRequest),
        }
        handlers = {name: _handler(method, request) for name, (method, request) in methods.items()}
        return grpc.method_handlers_generic_handler(_SERVICE, handlers)


def _handler(method: Callable[..., Message], request: type[Message]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=_serialized
    )


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _stack_resource(resource: analyzer_pb2.AnalyzerResource) -> StackResource:
    sources = {name: frozenset(one.urns) for name, one in resource.propertyDependencies.items()}
    return StackResource(
        resource.type,
        resource.urn,
        properties(resource.properties),
        frozenset(resource.dependencies).union(*sources.values()),
        sources,
        resource.options.protect,
    )


def _response(findings: Sequence[Finding], *, stack: bool = False) -> analyzer_pb2.AnalyzeResponse:
    return analyzer_pb2.AnalyzeResponse(
        diagnostics=[
            analyzer_pb2.AnalyzeDiagnostic(
                policyName=one.rule,
                policyPackName=NAME,
                policyPackVersion=VERSION,
                description=f"{one.title}.",
                message=f"{one.title}.\n{one.message}",
                enforcementLevel=_ENFORCEMENT[one.level],
                urn=one.urn if stack else "",
                severity=_SEVERITIES[one.severity],
            )
            for one in findings
        ]
    )


def _hear(pack: Pack, environment: Mapping[str, str]) -> None:
    """What a language host tells of the stack, before the engine does or, an older one, instead."""
    names = ("PULUMI_ORGANIZATION", "PULUMI_PROJECT", "PULUMI_STACK")
    if environment.get("PULUMI_STACK") and "PULUMI_DRY_RUN" in environment:
        stack = "/".join(environment.get(name, "") for name in names)
        pack.runs(stack, preview=environment["PULUMI_DRY_RUN"] == "true")


def serve(pack: Pack) -> None:
    """Serve a pack to the engine that has started this process, until the process is ended."""
    _hear(pack, os.environ)
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=_WORKERS),
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ],
    )
    server.add_generic_rpc_handlers((Analyzer(pack).methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine reads the port from the first line.
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(None)
