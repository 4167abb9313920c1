"""The pack as the engine meets it: decoding, levels, exemptions, previews."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import proxy
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies import decoding, server
from policies.catalogue import ALL, RULES, STACK_RULES
from policies.levels import LevelsError
from policies.rule import StackResource
from policies.values import UNKNOWN
from tests.policies.cloud_examples import CLOUD
from tests.policies.examples import GOOD, Resource, edited
from toolchain import paths

TODAY = datetime.date(2026, 6, 1)
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


def _struct(value: dict[str, Any]) -> Struct:
    result = Struct()
    result.update(value)
    return result


def _pack(levels: dict[str, Any] | None = None, *, preview: bool = False) -> server.Pack:
    pack = server.Pack(RULES, STACK_RULES, preview=preview, today=lambda: TODAY)
    pack.configure(levels or {})
    return pack


def _urn(token: str, name: str) -> str:
    return f"urn:pulumi:prod::autoglm-platform::autoglm:eks:EksAddons${token}::{name}"


def _judge(
    pack: server.Pack, resource: Resource, name: str = "x", *, protect: bool = True
) -> list[server.Finding]:
    request = analyzer_pb2.AnalyzeRequest(
        type=resource[0], urn=_urn(resource[0], name), name=name, properties=_struct(resource[1])
    )
    request.options.protect = protect
    answer = server.Analyzer(pack).Analyze(request, _context())
    return [
        server.Finding(
            one.policyName,
            one.description,
            "medium",
            "mandatory" if one.enforcementLevel == analyzer_pb2.MANDATORY else "advisory",
            one.message,
            request.urn,
        )
        for one in answer.diagnostics
    ]


def _context() -> Any:
    """A call's context; to abort it is an error."""
    context = Mock(spec=grpc.ServicerContext)
    context.abort.side_effect = lambda code, details: _raise(RuntimeError(f"{code}: {details}"))
    return context


def _raise(error: Exception) -> None:
    raise error


def test_unknown_values_are_those_of_the_sdk() -> None:
    assert {
        value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_")
    } == decoding.UNKNOWN_VALUES


def test_the_pack_runs_nothing_of_the_sdk_but_its_messages() -> None:
    program = (
        "import sys; from policies import protocol; protocol.without_sdk(); from policies import server; "
        "print(sorted(one for one in sys.modules if one.startswith('pulumi')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=paths.ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(
        [
            "pulumi",
            "pulumi.runtime",
            "pulumi.runtime.proto",
            "pulumi.runtime.proto.analyzer_pb2",
            "pulumi.runtime.proto.plugin_pb2",
        ]
    )


def test_every_method_of_the_protocol_is_served_but_remediate() -> None:
    service = analyzer_pb2.DESCRIPTOR.services_by_name["Analyzer"]
    served = {
        method.name
        for method in service.methods
        if server.Analyzer(_pack())
        .methods()
        .service(Mock(spec=grpc.HandlerCallDetails, method=f"/{service.full_name}/{method.name}"))
    }
    assert set(service.methods_by_name) - served == {"Handshake", "Remediate", "Cancel"}


def test_values_are_decoded_as_they_are_meant() -> None:
    decoded = decoding.properties(
        _struct(
            {
                "text": "a",
                "number": 2,
                "flag": True,
                "nothing": None,
                "list": [1, UNKNOWN_STRING_VALUE],
                "unknown": UNKNOWN_STRING_VALUE,
                "secret": {_SIGNATURE: _SECRET, "value": {"a": UNKNOWN_STRING_VALUE, "b": "c"}},
                "asset": {_SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "path": "x"},
            }
        )
    )
    assert decoded == {
        "text": "a",
        "number": 2.0,
        "flag": True,
        "nothing": None,
        "list": [1.0, UNKNOWN],
        "unknown": UNKNOWN,
        "secret": {"a": UNKNOWN, "b": "c"},
        "asset": {},
    }


@pytest.mark.parametrize("name", [*GOOD, *CLOUD])
def test_a_good_example_passes_through_the_protocol(name: str) -> None:
    assert _judge(_pack(preview=True), {**GOOD, **CLOUD}[name]) == []


def test_an_unknown_value_leaves_the_verdict_on_the_rest_mandatory() -> None:
    resource = edited(
        GOOD["deployment"],
        {
            "metadata name": UNKNOWN_STRING_VALUE,
            "spec template spec containers 0 args 1": UNKNOWN_STRING_VALUE,
            "spec template spec containers 0 image": "registry.example/vllm:latest",
        },
    )
    found = _judge(_pack(preview=True), resource)
    assert {one.rule for one in found} == {"image-digest", "image-tag"}
    assert {one.level for one in found} == {"mandatory"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("deployment", "spec template spec containers 0 image"),
        ("deployment", "spec template spec containers 0 securityContext privileged"),
        ("deployment", "spec template spec hostNetwork"),
        ("network-policy", "spec egress 0 to 0 ipBlock cidr"),
        ("load-balancer", "spec loadBalancerSourceRanges 0"),
        ("eks", "vpcConfig endpointPublicAccess"),
        ("security-group-rule", "cidrBlocks 0"),
        ("gke", "masterAuthorizedNetworksConfig cidrBlocks 0 cidrBlock"),
        ("iam-policy", "policy"),
        ("launch-template", "metadataOptions httpTokens"),
    ],
)
def test_what_isolation_depends_on_has_to_be_known_in_a_preview(name: str, path: str) -> None:
    resource = edited({**GOOD, **CLOUD}[name], {path: UNKNOWN_STRING_VALUE})
    assert {one.rule for one in _judge(_pack(preview=True), resource)} == {"known-in-preview"}
    assert _judge(_pack(preview=False), resource) == []
    assert _judge(_pack({"known-in-preview": {"required": False}}, preview=True), resource) == []


def test_ids_of_what_is_created_may_be_unknown_in_a_preview() -> None:
    for name, path in (
        ("eks", "encryptionConfig provider keyArn"),
        ("eks", "roleArn"),
        ("security-group-rule", "securityGroupId"),
        ("bucket-encryption", "rules 0 applyServerSideEncryptionByDefault kmsMasterKeyId"),
        ("gke-nodes", "nodeConfig serviceAccount"),
        ("deployment", "metadata namespace"),
    ):
        resource = edited({**GOOD, **CLOUD}[name], {path: UNKNOWN_STRING_VALUE})
        assert _judge(_pack(preview=True), resource) == [], name


def test_protect_is_read_from_the_resource_options() -> None:
    assert {one.rule for one in _judge(_pack(), CLOUD["eks"], protect=False)} == {"deletion-protection"}
    levels = {"deletion-protection": {"required": False}}
    assert _judge(_pack(levels), CLOUD["eks"], protect=False) == []


# Levels

_NODE_PORT = edited(GOOD["service"], {"spec type": "NodePort"})


def _exemption(**more: Any) -> dict[str, Any]:
    stated = {
        "resource": "kubernetes:core/v1:Service::entry",
        "reason": "moves soon",
        "expires": "2026-06-30",
    }
    return {"service-node-port": {"exemptions": [{**stated, **more}]}}


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("kubernetes:core/v1:Service::entry", True),
        ("entry", True),
        ("*EksAddons$kubernetes:core/v1:Service::entry", True),
        ("kubernetes:core/v1:Service", True),
        ("kubernetes:core/v1:Service::other", False),
        ("entr", False),
        ("kubernetes:apps/*", False),
    ],
)
def test_an_exemption_covers_by_urn_type_and_name(pattern: str, covered: bool) -> None:
    found = _judge(_pack(_exemption(resource=pattern)), _NODE_PORT, "entry")
    assert [one.rule for one in found] == (["exemption"] if covered else ["service-node-port"])
    assert [one.level for one in found] == (["advisory"] if covered else ["mandatory"])


def test_an_exemption_says_which_rule_why_and_how_long() -> None:
    (found,) = _judge(_pack(_exemption()), _NODE_PORT, "entry")
    assert found.message == "An exemption is in use.\nservice-node-port: moves soon; until 2026-06-30"


def _bounded(rule: str, resource: str, **more: Any) -> dict[str, Any]:
    stated = {"resource": resource, "reason": "is the node's own", "expires": "2026-06-30", **more}
    return {rule: {"exemptions": [stated]}}


@pytest.mark.parametrize(
    ("added", "left"),
    [
        (["NET_ADMIN"], 0),
        (["NET_ADMIN", "NET_BIND_SERVICE"], 0),
        (["NET_ADMIN", "SYS_ADMIN"], 1),
        (["SYS_ADMIN"], 1),
    ],
)
def test_an_exemption_lets_the_listed_capabilities_pass_alone(added: list[str], left: int) -> None:
    pack = _pack(_bounded("container-capabilities", "*::agent", capabilities=["NET_ADMIN"]))
    path = "spec template spec containers 0 securityContext capabilities"
    rules = [one.rule for one in _judge(pack, edited(GOOD["deployment"], {f"{path} add": added}), "agent")]
    assert rules == ["exemption", *["container-capabilities"] * left]
    # Adding them is exempted, keeping the default ones is not.
    kept = edited(GOOD["deployment"], {path: {"add": ["NET_ADMIN"]}})
    assert [one.rule for one in _judge(pack, kept, "agent")] == ["exemption", "container-capabilities"]


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/var/log/pods", 0),
        ("/var/log/pods/", 0),
        ("/var/log", 1),
        ("/var/log/pods/../../..", 1),
        ("/", 1),
        (None, 1),
    ],
)
def test_an_exemption_lets_the_listed_paths_pass_alone(path: str | None, left: int) -> None:
    pack = _pack(_bounded("pod-host-path", "*::agent", paths=["/var/log/pods"]))
    volume = {"name": "logs", "hostPath": {"path": path} if path else {}}
    found = _judge(pack, edited(GOOD["deployment"], {"spec template spec volumes 0": volume}), "agent")
    rules = [one.rule for one in found if one.rule in ("exemption", "pod-host-path")]
    assert rules == ["exemption", *["pod-host-path"] * left]


def test_an_exemption_ends() -> None:
    pack = server.Pack(RULES, STACK_RULES, today=lambda: TODAY)
    pack.configure(_exemption(expires="2026-06-01"))
    assert [one.rule for one in _judge(pack, _NODE_PORT, "entry")] == ["exemption"]
    with pytest.raises(LevelsError, match=r"2026-05-31 is past"):
        pack.configure(_exemption(expires="2026-05-31"))


def test_an_exemption_that_nothing_needs_is_told() -> None:
    pack = _pack(_exemption())
    assert _judge(pack, GOOD["service"], "entry") == []
    token, properties = GOOD["service"]
    found = pack.judge_stack([StackResource(token, _urn(token, "entry"), properties)])
    assert [one.message for one in found] == [
        "service-node-port: not needed for kubernetes:core/v1:Service::entry; remove it"
    ]


@pytest.mark.parametrize(
    ("levels", "problem"),
    [
        ({"imagedigest": "mandatory"}, "imagedigest: no such rule"),
        ({"image-digest": "optional"}, "image-digest: 'optional' is not a level"),
        ({"image-digest": 1}, "image-digest: 1 is not a level"),
        ({"image-digest": {"enforcementLevel": "mandatory", "resaon": "x"}}, "image-digest.resaon: unknown"),
        ({"image-digest": "disabled"}, "image-digest: lowered without a reason"),
        ({"image-digest": {"enforcementLevel": "advisory"}}, "image-digest: lowered without a reason"),
        ({"image-digest": {"enforcementLevel": "advisory", "reason": " x "}}, "lowered without a reason"),
        ({"all": "advisory"}, "all: every rule is mandatory"),
        ({"workload-replicas": {"maximum": "4"}}, "workload-replicas.maximum: '4' is not of type integer"),
        ({"workload-replicas": {"maximum": 0}}, "workload-replicas.maximum: 0; write 1 or more"),
        ({"workload-replicas": {"maximum": True}}, "is not of type integer"),
        ({"namespace-pod-security": {"level": "strict"}}, "level: 'strict'; write one of privileged"),
        ({"namespace-pod-security": {"version": "1.36"}}, "version: '1.36' does not match"),
        ({"stack-accelerators": {"maximum": {"nvidia.com/gpu": -1}}}, "nvidia.com/gpu: -1; write 0 or more"),
        ({"deletion-protection": {"required": "no"}}, "required: 'no' is not of type boolean"),
        ({"service-node-port": {"exemptions": {}}}, "exemptions: is not a list"),
        ({"service-node-port": {"exemptions": ["entry"]}}, "exemptions[0]: is not an object"),
        (_exemption(resource="*"), "exemptions[0].resource: '*' names no resource in particular"),
        (_exemption(resource="urn:*" * 0 + "**::*"), "names no resource in particular"),
        (_exemption(reason="x"), "exemptions[0].reason: is missing or too short"),
        (_exemption(expires="soon"), "exemptions[0].expires: 'soon' is no date"),
        (_exemption(expires="2027-06-03"), "more than a year ahead"),
        (_exemption(until="2026-06-30"), "exemptions[0].until: unknown"),
        (_bounded("pod-host-path", "*::agent"), "exemptions[0].paths: NoneType is no list"),
        (_bounded("pod-host-path", "*::agent", paths=["/var/*"]), "exemptions[0].paths: '/var/*' does not"),
        (_bounded("container-capabilities", "*::a", capabilities=[]), "capabilities: list is no list"),
        (_bounded("container-capabilities", "*::agent", capabilities=["*"]), "'*' does not match"),
    ],
)
def test_wrong_levels_are_refused(levels: dict[str, Any], problem: str) -> None:
    with pytest.raises(LevelsError) as raised:
        _pack(levels)
    assert problem in str(raised.value)


def test_a_rule_can_be_lowered_with_a_reason() -> None:
    lowered = {"enforcementLevel": "advisory", "reason": "moves to ClusterIP with the next release"}
    assert [one.level for one in _judge(_pack({"service-node-port": lowered}), _NODE_PORT)] == ["advisory"]
    disabled = {**lowered, "enforcementLevel": "disabled"}
    assert _judge(_pack({"service-node-port": disabled}), _NODE_PORT) == []


def test_what_the_engine_sends_for_a_file_is_understood() -> None:
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for rule in ALL:
        request.policyConfig[rule.id].enforcementLevel = analyzer_pb2.MANDATORY
    request.policyConfig["all"].enforcementLevel = analyzer_pb2.MANDATORY
    request.policyConfig["exemption"].enforcementLevel = analyzer_pb2.ADVISORY
    request.policyConfig["workload-replicas"].properties.update({"maximum": 1})
    pack = _pack()
    analyzer = server.Analyzer(pack)
    analyzer.Configure(request, _context())
    assert [one.rule for one in _judge(pack, GOOD["deployment"])] == ["workload-replicas"]
    request.policyConfig["workload-replica"].properties.update({"maximum": 1})
    with pytest.raises(RuntimeError, match="workload-replica: no such rule"):
        analyzer.Configure(request, _context())


def test_the_engine_is_told_every_rule() -> None:
    info = _pack().info()
    assert [one.name for one in info.policies] == [
        *(rule.id for rule in ALL if rule in RULES),
        *(rule.id for rule in STACK_RULES),
        "exemption",
    ]
    assert {one.enforcementLevel for one in info.policies if one.name != "exemption"} == {
        analyzer_pb2.MANDATORY
    }


def test_a_secret_value_is_judged_and_never_repeated() -> None:
    canary = "S3cr3t+Value=="
    secret = {_SIGNATURE: _SECRET, "value": {"name": "HF_TOKEN", "value": canary}}
    resource = edited(GOOD["deployment"], {"spec template spec containers 0 env 1": secret})
    (found,) = _judge(_pack(), resource)
    assert found.rule == "container-credentials"
    assert canary not in json.dumps(found.message)


def test_stack_rules_see_inputs_where_the_engine_shows_nothing() -> None:
    pack = _pack(preview=True)
    empty = []
    for name, (token, properties) in GOOD.items():
        if name != "default-deny":
            _judge(pack, (token, properties), name)
            empty.append(StackResource(token, _urn(token, name), {}))
    assert {one.rule for one in pack.judge_stack(empty)} == {"namespace-default-deny"}
