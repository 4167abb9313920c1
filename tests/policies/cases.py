"""For every rule: edits of a good example that it refuses, and edits that it lets pass."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Final

from tests.policies.examples import DELETE, DIGEST, GOOD, Resource, edited, metadata

C: Final = "spec template spec containers 0"
I: Final = "spec template spec initContainers 0"  # noqa: E741
P: Final = "spec template spec"
IN: Final = "spec ingress 0"
OUT: Final = "spec egress 0"


@dataclass(frozen=True)
class Case:
    """An edited example and what one rule says of it."""

    rule: str
    example: str | Resource
    edits: dict[str, Any]
    path: str | None
    """Part of the message of the violation; None: passes."""
    protect: bool = True
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def resource(self) -> Resource:
        return edited(GOOD[self.example] if isinstance(self.example, str) else self.example, self.edits)

    def __str__(self) -> str:
        what = next(iter(self.edits.items()), ("as it is", ""))
        value = "deleted" if what[1] is DELETE else str(what[1])
        return f"{self.rule}-{'refuses' if self.path else 'passes'}-{what[0]}={value}"[:120].replace("/", "_")


def _refused(rule: str, example: str | Resource, *edits: tuple[dict[str, Any], str]) -> list[Case]:
    return [Case(rule, example, edit, path) for edit, path in edits]


def _passed(rule: str, example: str | Resource, *edits: dict[str, Any]) -> list[Case]:
    return [Case(rule, example, edit, None) for edit in edits]


_EVERY_NAMESPACE = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}

_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"


_POD: Final = {"hostNetwork": True, "containers": [{"image": "!*:latest"}]}
_DESCRIBED: Final[tuple[tuple[Resource, str | None], ...]] = tuple(
    ((f"kubernetes:{token}", {"metadata": {"name": "x"}, "spec": spec}), path)
    for token, spec, path in (
        ("policy/v1beta1:PodSecurityPolicy", {"hostNetwork": True}, None),
        ("kyverno.io/v1:ClusterPolicy", {"rules": [{"validate": {"pattern": {"spec": _POD}}}]}, None),
        ("kyverno.io/v1:ClusterPolicy", {"rules": [{"validate": {"anyPattern": [{"spec": _POD}]}}]}, None),
        ("kyverno.io/v1:Policy", {"rules": [{"mutate": {"patchStrategicMerge": {"spec": _POD}}}]}, None),
        ("kyverno.io/v1:ClusterPolicy", {"rules": [{"generate": {"data": {"spec": _POD}}}]}, "hostNetwork"),
    )
)
"""Objects that say of pods what they may be, and one that makes them."""


def _key(kind: str) -> str:
    """Begins like a private key, and is none."""
    return f"-----BEGIN {kind}PRIVATE KEY-----\nMIIBAAAAAAAA\n-----END {kind}PRIVATE KEY-----\n"


def _file(text: str) -> dict[str, Any]:
    return {"data server.conf": text}


_CREDENTIALS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"data password": "hunter2"}, "data[password]: line 1 holds a credential"),
    ({"data pwd": "hi"}, "data[pwd]"),
    ({"data redis-password": "abcd1234"}, "data[redis-password]"),
    ({"data secret-key": "wJalrXUtnFEMI/K7MDENG"}, "data[secret-key]"),
    ({"data AWS_SECRET_ACCESS_KEY": "xxxxx"}, "data[AWS_SECRET_ACCESS_KEY]"),
    ({"data clientSecret": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}, "data[clientSecret]"),
    ({"data apiToken": "0f1e2d3c4b5a69788796"}, "data[apiToken]"),
    ({"data AUTHORIZATION": "Basic dXNlcjpwYXNz"}, "data[AUTHORIZATION]"),
    ({"data address": "amqp://guest:guest@queue:5672"}, "a password in an address"),
    ({"data .dockerconfigjson": '{"auths": {"r": {"auth": "dXNlcjpwYXNz"}}}'}, "a registry's credentials"),
    (_file("id: AKIAIOSFODNN7EXAMPLE"), "an access key of AWS"),
    (_file("x: ghp_" + "a1" * 18), "a token of GitHub"),
    (_file("level: info\n\nDB_PASSWORD:supersecret\n"), "data[server.conf]: line 3 holds a credential"),
    (_file("export REDIS_MASTER_PASSWORD=abcd1234"), "a credential"),
    (_file('{"port": 1, "dbPassword": "abcd1234"}'), "a credential"),
    (_file('plain.LoginModule required username="a" password="a-secret";'), "a credential"),
    (_file("Server=db;User Id=sa;Password=Ab!1;"), "a credential"),
    (_file("CREATE USER a IDENTIFIED BY 'geheim';"), "a credential"),
    (_file("requirepass foobared"), "a credential"),
    (_file("env:\n  - name: DB_PASSWORD\n    value: abcd1234\n"), "line 2 holds a credential"),
    (_file("<property><name>db.password</name>\n<value>abcd1234</value></property>"), "a credential"),
    (_file('<Parameter name="db.password" value="abcd1234"/>'), "a credential"),
    ({"data webhook_secret": "0f1e2d3c4b5a69788796"}, "data[webhook_secret]"),
    (_file('proxy_set_header Authorization "Basic dXNlcjpwYXNz";'), "an authorization header"),
    (_file(_key("")), "a private key"),
    (_file(json.dumps({"private_key": _key("RSA ")})), "a private key"),
    (
        _file("client-key-data: " + base64.b64encode(_key("EC ").encode()).decode()),
        "a private key",
    ),
)
_NO_CREDENTIALS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"data token_url": "https://login.example.com/token"},
    {"data passwordFile": "/run/secrets/password"},
    {"data max_tokens": "512"},
    {"data tokenizer": "llama"},
    {"data secretName": "database"},
    {"data imagePullSecret": "regcred"},
    {"data clientSecret": "tenant/oauth-client"},
    {"data pad_token": "<pad>"},
    {"data eos_token": "</s>"},
    {"data token": "true"},
    {"data password": ""},
    {"data password": "${DB_PASSWORD}"},
    {"data password": "file:/run/secrets/password"},
    {"data pwd": "/srv/app"},
    {"data passwd": "nobody:x:65534:65534:nobody:/:/sbin/nologin"},
    {"data initial-cluster-token": "etcd-A"},
    {"data tls.crt": "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n"},
    {"data webhook-secret": "forge-webhook"},
    {"data GOOGLE_API_KEY": "GOOGLE_API_KEY_VALUE"},
    {"data cookie_secret": "SECRET"},
    {"data password": "yourPassword"},
    {"data password": "ENC(abcd1234)"},
    {"data password": "%DB_PASSWORD%"},
    _file("requirepass replace-default-auth"),
    _file("env:\n  - name: DB_PASSWORD\n    valueFrom: {}\n  - name: MODE\n    value: fast\n"),
    _file('<input type="password" name="password" value="">'),
    _file("password \"#{ENV['DB_PASSWORD']}\""),
    _file("REDIS_PASSWORD="),
    _file("DB_PASSWORD=${DB_PASSWORD}"),
    _file('REDIS_PASSWORD="$(< "${REDIS_PASSWORD_FILE}")"'),
    _file("DB_PASSWORD={{ .Values.password }}"),
    _file("# postgres://user:password@host/db"),
    _file("pattern: https?://[^:]+:[^@]+@host"),
    _file("target: http://$1:9100@"),
    _file("Authorization: Bearer <token>"),
    _file("const token = req.headers.authorization;\n  token = request.query.token\n"),
    _file("usernameKey: username\npasswordKey: password\nsecretKey: password"),
    _file('{"forgot_password": "Forgot your password?"}'),
    _file("bearer_token_file: /var/run/secrets/token"),
    _file("proxy_pass: http://backend"),
)


def _etcd(changes: dict[str, Any]) -> dict[str, Any]:
    good = json.loads(GOOD["etcd-configuration"][1]["data"]["etcd.json"])
    return {"data etcd.json": json.dumps({**good, **changes})}


CASES: Final[tuple[Case, ...]] = (
    # Network isolation
    *_refused(
        "network-default-deny",
        "default-deny",
        ({"spec podSelector": {"matchLabels": {"app": "x"}}}, "spec.podSelector"),
        (
            {"spec podSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}},
            "spec.podSelector",
        ),
        ({"spec podSelector": DELETE}, "spec.podSelector"),
        ({"spec policyTypes": ["Ingress"]}, "Egress is missing"),
        ({"spec policyTypes": DELETE}, "Ingress is missing"),
        ({"spec ingress": [{}]}, "spec.ingress"),
        ({"spec egress": [{"to": [{"podSelector": {}}]}]}, "spec.egress"),
    ),
    *_passed(
        "network-default-deny", "default-deny", {}, {"spec ingress": []}, {"metadata name": "allow-dns"}
    ),
    *_refused(
        "network-policy-peers",
        "network-policy",
        ({f"{IN} from": []}, "ingress[0].from"),
        ({f"{IN} from": DELETE}, "ingress[0].from"),
        ({f"{OUT} to": DELETE}, "egress[0].to"),
        ({IN: {}}, "ingress[0].from"),
        ({f"{IN} from 0": {}}, "ingress[0].from[0]"),
        ({f"{IN} from 0 namespaceSelector": {}}, "namespaceSelector"),
        (
            {f"{IN} from 0": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}},
            "namespaceSelector",
        ),
        ({f"{IN} from 0 namespaceSelector": _EVERY_NAMESPACE}, "namespaceSelector"),
        (
            {
                f"{IN} from 0 namespaceSelector": {
                    "matchExpressions": [{"key": "purpose", "operator": "NotIn", "values": ["x"]}]
                }
            },
            "namespaceSelector",
        ),
    ),
    *_passed("network-policy-peers", "network-policy", {}, {f"{IN} from 1": {"podSelector": {}}}),
    *_refused(
        "network-policy-cidr",
        "network-policy",
        ({f"{OUT} to 0 ipBlock cidr": "0.0.0.0/0"}, "cidr: is 0.0.0.0/0"),
        ({f"{OUT} to 0 ipBlock cidr": "::/0"}, "cidr"),
        ({f"{OUT} to 0 ipBlock cidr": "128.0.0.0/1"}, "cidr"),
        ({f"{OUT} to 0 ipBlock cidr": "everywhere"}, "cidr"),
        ({f"{IN} from 0": {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}}, "ingress[0]"),
    ),
    *_passed("network-policy-cidr", "network-policy", {f"{OUT} to 0 ipBlock cidr": "10.0.0.0/8"}),
    *_refused(
        "network-policy-metadata-service",
        "network-policy",
        ({f"{OUT} to 1 ipBlock except": DELETE}, "169.254.169.254"),
        ({f"{OUT} to 0 ipBlock cidr": "169.254.169.254/32"}, "169.254.169.254"),
        ({f"{OUT} to 0 ipBlock cidr": "fd00:ec2::/32"}, "fd00:ec2::254"),
    ),
    *_passed("network-policy-metadata-service", "network-policy", {}),
    Case(
        "network-policy-metadata-service",
        "network-policy",
        {f"{OUT} to 0 ipBlock cidr": "169.254.169.254/32"},
        None,
        options={"network-policy-metadata-service": {"workloadIdentity": True}},
    ),
    Case(
        "network-policy-metadata-service",
        "network-policy",
        {f"{OUT} to 1 ipBlock except": DELETE},
        "169.254.169.254",
        options={"network-policy-metadata-service": {"workloadIdentity": True}},
    ),
    *_refused(
        "network-policy-ports",
        "network-policy",
        ({f"{IN} ports": DELETE}, "ingress[0].ports"),
        ({f"{OUT} ports": []}, "egress[0].ports"),
        ({f"{OUT} ports 0 port": DELETE}, "ports[0].port"),
    ),
    *_passed("network-policy-ports", "network-policy", {}),
    *_refused(
        "network-policy-api",
        ("kubernetes:cilium.io/v2:CiliumNetworkPolicy", {"metadata": metadata("open"), "spec": {}}),
        ({}, "cilium.io"),
    ),
    *_refused(
        "network-policy-api",
        ("kubernetes:policy.networking.k8s.io/v1alpha1:AdminNetworkPolicy", {"metadata": {"name": "open"}}),
        ({}, "policy.networking.k8s.io"),
    ),
    *_passed("network-policy-api", "network-policy", {}),
    *_refused(
        "pod-host-network",
        "deployment",
        ({f"{P} hostNetwork": True}, "hostNetwork: is true"),
        ({f"{P} hostNetwork": "true"}, "hostNetwork"),
    ),
    *_passed("pod-host-network", "deployment", {f"{P} hostNetwork": False}),
    *_refused("container-host-port", "deployment", ({f"{C} ports 0 hostPort": 8000.0}, "hostPort: is 8000")),
    *_passed("container-host-port", "deployment", {}, {f"{C} ports 0 hostPort": 0.0}),
    *_refused(
        "service-node-port",
        "service",
        ({"spec type": "NodePort"}, "spec.type"),
        ({"spec ports 0 nodePort": 30000.0}, "nodePort"),
    ),
    *_passed("service-node-port", "service", {}, {"spec type": DELETE}),
    *_refused("service-external-ips", "service", ({"spec externalIPs": ["1.2.3.4"]}, "externalIPs")),
    *_passed("service-external-ips", "service", {"spec externalIPs": []}),
    *_refused(
        "service-load-balancer-internal",
        "load-balancer",
        ({"metadata annotations": DELETE}, "spec.type"),
        (
            {
                "metadata annotations networking.gke.io/load-balancer-type": "External",
                "spec loadBalancerSourceRanges": DELETE,
            },
            "loadBalancerSourceRanges: is missing",
        ),
        ({"metadata annotations networking.gke.io/load-balancer-type": "Global"}, "spec.type"),
        ({"spec loadBalancerSourceRanges 0": "0.0.0.0/0"}, "loadBalancerSourceRanges[0]"),
        ({"spec loadBalancerSourceRanges 0": "::/0"}, "loadBalancerSourceRanges[0]"),
    ),
    *_passed(
        "service-load-balancer-internal",
        "load-balancer",
        {},
        {"spec loadBalancerSourceRanges": DELETE},
        {"metadata annotations networking.gke.io/load-balancer-type": "External"},
        {
            "metadata annotations": {
                "service.beta.kubernetes.io/aws-load-balancer-internal": "false",
                "autoglm-platform/exposure": "public",
            }
        },
    ),
    *_refused("service-endpoints", "service", ({"spec type": "ExternalName"}, "ExternalName")),
    *_refused(
        "service-endpoints",
        ("kubernetes:core/v1:Endpoints", {"metadata": metadata("server"), "subsets": []}),
        ({}, "Endpoints server"),
    ),
    *_passed("service-endpoints", "service", {}),
    *_refused(
        "ingress-tls",
        "ingress",
        ({"spec tls": DELETE}, "spec.tls"),
        ({"spec tls": []}, "spec.tls"),
        ({"spec tls 0 hosts 0": "other.example.com"}, "rules[0].host"),
    ),
    *_refused("ingress-tls", "gateway", ({"spec listeners 0 protocol": "HTTP"}, "protocol: is HTTP")),
    *_passed("ingress-tls", "ingress", {}),
    *_passed("ingress-tls", "gateway", {"spec listeners 0 protocol": "TLS"}),
    *_refused(
        "ingress-hosts",
        "ingress",
        ({"spec rules 0 host": "*.example.com"}, "wildcard"),
        ({"spec rules 0 host": DELETE}, "every host"),
        ({"spec defaultBackend": {"service": {"name": "server"}}}, "defaultBackend"),
    ),
    *_refused(
        "ingress-hosts",
        "gateway",
        ({"spec listeners 0 hostname": DELETE}, "hostname"),
        ({"spec listeners 0 hostname": "*.example.com"}, "hostname"),
    ),
    *_passed("ingress-hosts", "ingress", {}),
    *_passed("ingress-hosts", "gateway", {}),
    *_refused(
        "gateway-routes",
        "gateway",
        ({"spec listeners 0 allowedRoutes namespaces from": "All"}, "from: is All"),
        ({"spec listeners 0 allowedRoutes namespaces selector": {}}, "selector"),
    ),
    *_passed("gateway-routes", "gateway", {}, {"spec listeners 0 allowedRoutes": DELETE}),
    *_refused(
        "workload-namespace",
        "deployment",
        ({"metadata namespace": DELETE}, "metadata.namespace"),
        ({"metadata namespace": "default"}, "is default"),
        ({"metadata namespace": "kube-system"}, "is kube-system"),
    ),
    *_passed("workload-namespace", "deployment", {}),
    # Resource limits
    *(
        case
        for resource, section in (
            ("cpu", "request"),
            ("memory", "request"),
            ("cpu", "limit"),
            ("memory", "limit"),
            ("ephemeral-storage", "limit"),
        )
        for rule, path in ((f"container-{resource}-{section}", f"resources {section}s {resource}"),)
        for case in (
            *_refused(
                rule,
                "deployment",
                (
                    {f"{C} {path}": DELETE},
                    f"containers[0] (vllm).resources.{section}s.{resource}: is missing",
                ),
                ({f"{I} {path}": DELETE}, "initContainers[0] (verify-weights)"),
                ({f"{C} {path}": "0"}, "is 0"),
                ({f"{C} {path}": "-1"}, "is -1"),
                ({f"{C} {path}": "plenty"}, "is a text of 6 characters"),
                ({f"{C} resources {section}s": DELETE}, "is missing"),
                ({f"{C} resources": DELETE}, "is missing"),
                ({f"{C} resources": "none"}, "is missing"),
            ),
            *_passed(rule, "deployment", {}, {f"{C} {path}": "2.5"}),
        )
        if not (case.path is None and case.edits and section == "limit")
    ),
    *_refused(
        "container-memory-limit", "deployment", ({f"{C} resources limits memory": "5Gi"}, "below the request")
    ),
    *_refused(
        "serving-memory-guaranteed",
        "deployment",
        ({f"{C} resources requests memory": "4Gi"}, "requests.memory: is 4Gi, the limit is 6Gi"),
        ({f"{C} resources requests memory": DELETE}, "requests.memory"),
    ),
    *_passed(
        "serving-memory-guaranteed",
        "deployment",
        {},
        {f"{C} resources requests memory": "6144Mi"},
        {f"{C} resources requests memory": 6442450944.0},
    ),
    *_passed("serving-memory-guaranteed", "job", {f"{C} resources requests memory": "4Gi"}),
    *_refused(
        "accelerator-request-equals-limit",
        "deployment",
        ({f"{C} resources requests nvidia.com/gpu": "2"}, "requests.nvidia.com/gpu: is 2, the limit is 1"),
        ({f"{C} resources limits nvidia.com/gpu": DELETE}, "limits.nvidia.com/gpu"),
        ({f"{C} resources requests google.com/tpu": "4"}, "limits.google.com/tpu"),
        (
            {
                f"{C} resources requests huawei.com/Ascend910": "1",
                f"{C} resources limits huawei.com/Ascend910": "8",
            },
            "huawei.com/Ascend910",
        ),
    ),
    *_passed(
        "accelerator-request-equals-limit",
        "deployment",
        {},
        {f"{C} resources requests nvidia.com/gpu": 1.0},
        {f"{C} resources requests nvidia.com/gpu": DELETE},
    ),
    *_refused(
        "accelerator-whole",
        "deployment",
        ({f"{C} resources limits nvidia.com/gpu": "0.5"}, "limits.nvidia.com/gpu: is 0.5"),
        ({f"{C} resources limits nvidia.com/gpu": "one"}, "limits.nvidia.com/gpu"),
        ({f"{C} resources limits nvidia.com/gpu": "500m"}, "limits.nvidia.com/gpu"),
    ),
    *_passed("accelerator-whole", "deployment", {}, {f"{C} resources limits nvidia.com/mig-1g.10gb": "2"}),
    *_refused(
        "empty-dir-size-limit",
        "deployment",
        ({f"{P} volumes 1 emptyDir sizeLimit": DELETE}, "volumes[1].emptyDir.sizeLimit"),
        ({f"{P} volumes 2 emptyDir": {}}, "volumes[2].emptyDir.sizeLimit"),
        ({f"{P} volumes 2 emptyDir sizeLimit": "0"}, "volumes[2].emptyDir.sizeLimit"),
    ),
    *_passed("empty-dir-size-limit", "deployment", {}),
    *_refused(
        "memory-volume-fits",
        "deployment",
        ({f"{P} volumes 1 emptyDir sizeLimit": "6Gi"}, "resources.limits.memory"),
        ({f"{C} resources limits memory": "2Gi"}, "resources.limits.memory"),
    ),
    *_passed("memory-volume-fits", "deployment", {}, {f"{P} volumes 2 emptyDir sizeLimit": "100Gi"}),
    *_refused(
        "job-deadline",
        "job",
        ({"spec activeDeadlineSeconds": DELETE}, "spec.activeDeadlineSeconds"),
        ({"spec activeDeadlineSeconds": 0.0}, "spec.activeDeadlineSeconds"),
    ),
    *_refused(
        "job-deadline",
        "cron-job",
        (
            {"spec jobTemplate spec activeDeadlineSeconds": DELETE},
            "spec.jobTemplate.spec.activeDeadlineSeconds",
        ),
    ),
    *_passed("job-deadline", "job", {}),
    *_passed("job-deadline", "cron-job", {}),
    # Pod security
    *_refused(
        "namespace-pod-security",
        "namespace",
        ({"metadata labels": DELETE}, "pod-security.kubernetes.io/enforce"),
        ({"metadata labels pod-security.kubernetes.io/enforce": "baseline"}, "is baseline"),
        ({"metadata labels pod-security.kubernetes.io/enforce-version": "latest"}, "is latest"),
    ),
    *_passed("namespace-pod-security", "namespace", {}),
    *_refused(
        "pod-shape",
        "deployment",
        ({f"{P} containers": DELETE}, "containers: is missing"),
        ({f"{P} containers": []}, "containers: is missing"),
        ({f"{P} containers": {"0": {}}}, "containers: is not a list"),
        ({f"{P} containers 0": "vllm"}, "containers[0]: is not an object"),
        ({f"{P} volumes": {"a": {"hostPath": {}}}}, "volumes: is not a list"),
        ({P: []}, "spec.template.spec: is not an object"),
        ({"spec": DELETE}, "spec.template.spec: is not an object"),
    ),
    *_passed("pod-shape", "deployment", {}),
    *_refused(
        "container-non-root",
        "deployment",
        (
            {f"{C} securityContext runAsNonRoot": DELETE, f"{P} securityContext runAsNonRoot": DELETE},
            "runAsNonRoot",
        ),
        ({f"{C} securityContext runAsNonRoot": False}, "runAsNonRoot: is false"),
        ({f"{I} securityContext runAsUser": 0.0}, "initContainers[0]"),
        ({f"{P} securityContext runAsUser": 0.0}, "runAsUser: is 0"),
    ),
    *_passed("container-non-root", "deployment", {}, {f"{C} securityContext runAsNonRoot": DELETE}),
    *_refused(
        "container-privilege-escalation",
        "deployment",
        ({f"{C} securityContext allowPrivilegeEscalation": DELETE}, "allowPrivilegeEscalation"),
        ({f"{C} securityContext allowPrivilegeEscalation": True}, "is true"),
        ({f"{C} securityContext": DELETE}, "allowPrivilegeEscalation"),
    ),
    *_passed("container-privilege-escalation", "deployment", {}),
    *_refused(
        "container-privileged", "deployment", ({f"{C} securityContext privileged": True}, "privileged")
    ),
    *_passed("container-privileged", "deployment", {}, {f"{C} securityContext privileged": False}),
    *_refused(
        "container-capabilities",
        "deployment",
        ({f"{C} securityContext capabilities": DELETE}, "capabilities.drop"),
        ({f"{C} securityContext capabilities drop": ["NET_RAW"]}, "capabilities.drop"),
        ({f"{C} securityContext capabilities add": ["SYS_ADMIN"]}, "capabilities.add"),
    ),
    *_passed(
        "container-capabilities",
        "deployment",
        {},
        {f"{C} securityContext capabilities add": ["NET_BIND_SERVICE"]},
    ),
    *_refused(
        "container-read-only-root",
        "deployment",
        ({f"{C} securityContext readOnlyRootFilesystem": DELETE}, "readOnlyRootFilesystem"),
        ({f"{I} securityContext readOnlyRootFilesystem": False}, "initContainers[0]"),
    ),
    *_passed("container-read-only-root", "deployment", {}),
    *_refused(
        "container-seccomp",
        "deployment",
        (
            {f"{C} securityContext seccompProfile": DELETE, f"{P} securityContext seccompProfile": DELETE},
            "seccompProfile",
        ),
        ({f"{C} securityContext seccompProfile type": "Unconfined"}, "is Unconfined"),
    ),
    *_passed("container-seccomp", "deployment", {}, {f"{C} securityContext seccompProfile": DELETE}),
    *_refused(
        "pod-host-namespaces",
        "deployment",
        ({f"{P} hostPID": True}, "hostPID"),
        ({f"{P} hostIPC": True}, "hostIPC"),
    ),
    *_passed("pod-host-namespaces", "deployment", {f"{P} hostPID": False}),
    *_refused(
        "pod-host-path",
        "deployment",
        ({f"{P} volumes 0": {"name": "node", "hostPath": {"path": "/"}}}, "volumes[0].hostPath"),
    ),
    *_refused("pod-host-path", "volume", ({"spec hostPath": {"path": "/data"}}, "spec.hostPath")),
    *_passed("pod-host-path", "deployment", {}),
    *_passed("pod-host-path", "volume", {}),
    *_refused(
        "pod-volume-types",
        "deployment",
        ({f"{P} volumes 0": {"name": "n", "nfs": {"server": "nfs.example"}}}, "volumes[0].nfs"),
    ),
    *_passed("pod-volume-types", "deployment", {}),
    *_refused(
        "pod-sysctls",
        "deployment",
        ({f"{P} securityContext sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "sysctls[0]"),
    ),
    *_passed(
        "pod-sysctls",
        "deployment",
        {},
        {f"{P} securityContext sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
    ),
    *_refused(
        "container-proc-mount",
        "deployment",
        ({f"{C} securityContext procMount": "Unmasked"}, "procMount: is Unmasked"),
    ),
    *_passed("container-proc-mount", "deployment", {f"{C} securityContext procMount": "Default"}),
    *_refused(
        "pod-app-armor",
        "deployment",
        ({f"{P} securityContext appArmorProfile": {"type": "Unconfined"}}, "is Unconfined"),
        (
            {"spec template metadata annotations": {f"{_APP_ARMOR}vllm": "unconfined"}},
            "is no allowed profile",
        ),
    ),
    *_passed("pod-app-armor", "deployment", {f"{C} securityContext appArmorProfile": {"type": "Localhost"}}),
    *_refused(
        "pod-host-process",
        "deployment",
        ({f"{C} securityContext windowsOptions": {"hostProcess": True}}, "hostProcess"),
    ),
    *_passed("pod-host-process", "deployment", {}),
    *_refused(
        "pod-selinux",
        "deployment",
        ({f"{C} securityContext seLinuxOptions": {"user": "root"}}, "seLinuxOptions.user"),
        ({f"{P} securityContext seLinuxOptions": {"type": "spc_t"}}, "seLinuxOptions.type"),
    ),
    *_passed("pod-selinux", "deployment", {f"{P} securityContext seLinuxOptions": {"type": "container_t"}}),
    *_refused(
        "container-probe-host",
        "deployment",
        ({f"{C} readinessProbe httpGet host": "169.254.169.254"}, "readinessProbe.httpGet.host"),
        ({f"{C} lifecycle preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}, "preStop.httpGet.host"),
    ),
    *_passed("container-probe-host", "deployment", {}),
    # Mesh, etcd, spread, registries
    *_refused(
        "mesh-mutual-tls",
        "peer-authentication",
        ({"spec mtls mode": "PERMISSIVE"}, "spec.mtls.mode: is PERMISSIVE"),
        ({"spec": {}}, "spec.mtls.mode: is missing"),
        ({"spec portLevelMtls": {"8080": {"mode": "DISABLE"}}}, "portLevelMtls[8080].mode: is DISABLE"),
    ),
    *_passed("mesh-mutual-tls", "peer-authentication", {}),
    Case(
        "mesh-mutual-tls",
        "peer-authentication",
        {"spec portLevelMtls": {"8080": {"mode": "PERMISSIVE"}}},
        None,
        options={"mesh-mutual-tls": {"plainPorts": [8080.0]}},
    ),
    *_refused(
        "etcd-tls",
        "etcd-configuration",
        (_etcd({"listen-client-urls": "http://0.0.0.0:2379"}), "listen-client-urls is not https"),
        (_etcd({"peer-transport-security": {}}), "peer-transport-security.client-cert-auth is not true"),
    ),
    *_refused(
        "etcd-tls",
        "deployment",
        (
            {f"{C} command": ["etcd", "--listen-client-urls=http://0.0.0.0:2379"]},
            "--listen-client-urls is not https",
        ),
        ({f"{C} command": ["/usr/local/bin/etcd"]}, "--client-cert-auth is not set"),
        (
            {f"{C} env 0": {"name": "ETCD_LISTEN_CLIENT_URLS", "value": "http://0.0.0.0:2379"}},
            "--listen-client-urls is not https",
        ),
    ),
    *_passed("etcd-tls", "etcd-configuration", {}),
    *_passed(
        "etcd-tls",
        "deployment",
        {},
        {f"{C} command": ["/usr/local/bin/etcd", "--config-file=/run/etcd.json"]},
        {
            f"{C} command": [
                "etcd",
                "--listen-client-urls",
                "https://0.0.0.0:2379,http://127.0.0.1:2379",
                "--client-cert-auth",
                "--peer-client-cert-auth=true",
            ]
        },
    ),
    *_refused(
        "workload-spread",
        "deployment",
        ({f"{P} topologySpreadConstraints": DELETE}, "topologySpreadConstraints: is missing"),
    ),
    *_passed(
        "workload-spread",
        "deployment",
        {},
        {"spec replicas": 1.0, f"{P} topologySpreadConstraints": DELETE},
        {
            f"{P} topologySpreadConstraints": DELETE,
            f"{P} affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}},
        },
    ),
    *(
        Case(
            "image-registry",
            "deployment",
            {f"{C} image": f"{registry}/vllm:v1@{DIGEST}"},
            path,
            options={"image-registry": {"allowed": ["registry.example/*", "*.example.com/autoglm/*"]}},
        )
        for registry, path in (
            ("registry.example:5000", "is from no registry"),
            ("eu.example.com", "is from no registry"),
            ("registry.example", None),
            ("eu.example.com/autoglm", None),
        )
    ),
    # Ceilings
    Case(
        "workload-replicas",
        "deployment",
        {"spec replicas": 5.0},
        "is 5, more than 4",
        options={"workload-replicas": {"maximum": 4.0}},
    ),
    *_refused("workload-replicas", "deployment", ({"spec replicas": 101.0}, "is 101, more than 100")),
    *_passed("workload-replicas", "deployment", {}),
    Case(
        "quota-accelerators",
        "quota",
        {},
        "requests.nvidia.com/gpu]: is 8, more than 4",
        options={"stack-accelerators": {"maximum": {"nvidia.com/gpu": 4.0}}},
    ),
    Case(
        "quota-accelerators",
        "quota",
        {},
        None,
        options={"stack-accelerators": {"maximum": {"nvidia.com/gpu": 8.0}}},
    ),
    *_refused(
        "pod-service-account-token",
        "deployment",
        ({f"{P} automountServiceAccountToken": DELETE}, "automountServiceAccountToken: is missing"),
        ({f"{P} automountServiceAccountToken": True}, "automountServiceAccountToken: is true"),
    ),
    *_refused(
        "pod-service-account-token",
        "service-account",
        ({"automountServiceAccountToken": DELETE}, "automountServiceAccountToken"),
    ),
    *_passed("pod-service-account-token", "deployment", {}),
    *_passed("pod-service-account-token", "service-account", {}),
    # Supply chain
    *_refused(
        "image-digest",
        "deployment",
        ({f"{C} image": "registry.example/vllm:v0.32.0"}, "has no digest"),
        ({f"{I} image": "registry.example/vllm@sha256:abc"}, "initContainers[0]"),
        ({f"{C} image": DELETE}, "image: is missing"),
        ({f"{C} image": 7.0}, "image: is missing"),
    ),
    *_passed("image-digest", "deployment", {}, {f"{C} image": f"registry.example:5000/a/vllm:v1@{DIGEST}"}),
    *_refused(
        "image-tag",
        "deployment",
        ({f"{C} image": "registry.example/vllm:latest"}, "has the tag latest"),
        ({f"{C} image": "registry.example:5000/vllm"}, "has no tag"),
    ),
    *_passed(
        "image-tag",
        "deployment",
        {},
        {f"{C} image": "registry.example/vllm:v0.32.0"},
        # Only the digest decides: Trivy, Kyverno and Gatekeeper let it pass, too.
        {f"{C} image": f"registry.example/vllm:latest@{DIGEST}"},
    ),
    *_refused(
        "image-registry",
        "deployment",
        ({f"{C} image": f"vllm/vllm-openai@{DIGEST}"}, "names no registry"),
        ({f"{C} image": "nginx:1.29"}, "names no registry"),
    ),
    *_passed("image-registry", "deployment", {}, {f"{C} image": "localhost:5000/nginx"}),
    *_refused(
        "engine-flags",
        "deployment",
        ({f"{C} args 4": "--trust-remote-code"}, "args[4]: --trust-remote-code"),
        ({f"{C} args 4": "--trust_remote_code"}, "args[4]"),
        ({f"{C} command": ["sh", "-c", "vllm serve --allowed-local-media-path=/"]}, "command[2]"),
        ({f"{C} env 2": {"name": "VLLM_ALLOW_INSECURE_SERIALIZATION", "value": "1"}}, "env[2]"),
    ),
    *_passed("engine-flags", "deployment", {}),
    *_refused("opaque-resource", ("command:local:Command", {"create": "kubectl apply"}), ({}, "Command")),
    *_passed("opaque-resource", "deployment", {}),
    *_refused(
        "ingress-snippets",
        "ingress",
        (
            {"metadata annotations": {"nginx.ingress.kubernetes.io/server-snippet": "x"}},
            "server-snippet]: configures the controller",
        ),
    ),
    *_passed("ingress-snippets", "ingress", {"metadata annotations": {"cert-manager.io/issuer": "x"}}),
    *_refused(
        "ingress-snippets",
        ("kubernetes:core/v1:ConfigMap", {"data": {"allow-snippet-annotations": "true"}}),
        ({}, "[allow-snippet-annotations]: is true"),
    ),
    *_passed(
        "ingress-snippets",
        ("kubernetes:core/v1:ConfigMap", {"data": {"allow-snippet-annotations": "false"}}),
        {},
        {"data": DELETE},
    ),
    *_refused("helm-release", ("kubernetes:helm.sh/v3:Release", {"chart": "nginx"}), ({}, "Release")),
    *_passed("helm-release", ("kubernetes:helm.sh/v4:Chart", {"chart": "nginx"}), {}),
    *_refused(
        "helm-chart",
        "chart",
        ({"version": DELETE}, "version: is missing, not one version"),
        ({"version": "^1.21.0"}, "version: is a text of 7 characters"),
        ({"version": "1.21"}, "version:"),
        ({"version": "1.x.x"}, "version:"),
        ({"version": "latest"}, "version:"),
        ({"chart": "http://charts.example/x.tgz"}, "chart: is http"),
        ({"chart": "bitnami/nginx"}, "chart:"),
        ({"chart": "nginx"}, "chart:"),
        ({"chart": "oci://registry.example"}, "chart:"),
        (
            {"chart": "nginx", "repositoryOpts": {"repo": "http://charts.example/all"}},
            "repositoryOpts.repo: is http",
        ),
        ({"chart": 3.0}, "chart: is 3"),
        ({"devel": True}, "devel:"),
        ({"plainHttp": True}, "plainHttp:"),
        ({"dependencyUpdate": True}, "dependencyUpdate:"),
        ({"postRenderer": {"command": "sed"}}, "postRenderer:"),
    ),
    *_passed(
        "helm-chart",
        "chart",
        {},
        {"version": "v1.21.0"},
        {"version": "1.21.0-rc.1+build.3"},
        {"version": DELETE, "chart": f"oci://registry.example/charts/cert-manager@{DIGEST}"},
        {"chart": "./charts/cert-manager", "version": DELETE},
        {"chart": "nginx", "repositoryOpts": {"repo": "https://charts.example/stable"}},
        {"chart": DELETE},
        {"devel": False},
    ),
    Case(
        "helm-chart",
        "chart",
        {},
        "chart: is from no registry of this stack",
        options={"helm-chart": {"allowed": ["registry.example/other/*"]}},
    ),
    Case(
        "helm-chart",
        "chart",
        {},
        None,
        options={"helm-chart": {"allowed": ["registry.example/charts/*"]}},
    ),
    *_refused(
        "helm-values-credentials",
        "chart",
        ({"values adminPassword": "hunter2"}, "values.adminPassword:"),
        ({"values webhook": {"auth": [{"api-key": "k"}]}}, "values.webhook.auth[0].api-key:"),
        ({"values GITHUB_TOKEN": "t"}, "values.GITHUB_TOKEN:"),
        ({"values oidc": {"clientSecret": "s"}}, "values.oidc.clientSecret:"),
    ),
    *_passed(
        "helm-values-credentials",
        "chart",
        {},
        {"values existingSecret": "admin"},
        {"values secretName": "admin"},
        {"values imagePullSecrets": [{"name": "registry"}]},
        {"values automountServiceAccountToken": False},
        {"values adminPassword": ""},
        {"values publicKey": "ssh-ed25519 AAAA"},
        {"values initContainers": []},
    ),
    # Workload health
    *_refused(
        "workload-probes",
        "deployment",
        ({f"{C} startupProbe": DELETE}, "startupProbe"),
        ({f"{C} readinessProbe": DELETE}, "readinessProbe"),
        ({f"{C} livenessProbe": {}}, "livenessProbe"),
    ),
    *_refused(
        "workload-probes",
        "leader-worker-set",
        ({f"spec leaderWorkerTemplate leaderTemplate {C[14:]} readinessProbe": DELETE}, "leaderTemplate"),
    ),
    *_passed("workload-probes", "deployment", {}, {f"{I} readinessProbe": DELETE}),
    *_passed("workload-probes", "job", {f"{C} readinessProbe": DELETE}),
    *_refused(
        "workload-termination-grace",
        "deployment",
        ({f"{P} terminationGracePeriodSeconds": 15.0}, "is 15, preStop takes 15 s"),
        ({f"{P} terminationGracePeriodSeconds": DELETE}, "is missing"),
        ({f"{C} lifecycle preStop": {"exec": {"command": ["sh", "-c", "sleep 90"]}}}, "preStop takes 90 s"),
        ({f"{C} lifecycle preStop": {"exec": {"command": ["/bin/sleep", "90"]}}}, "preStop takes 90 s"),
    ),
    *_passed("workload-termination-grace", "deployment", {}),
    *_refused(
        "disruption-budget-drains",
        "disruption-budget",
        ({"spec maxUnavailable": 0.0}, "maxUnavailable: is 0"),
        ({"spec maxUnavailable": "0%"}, "maxUnavailable: is 0"),
        ({"spec maxUnavailable": -1}, "maxUnavailable: is 0 or less"),
        ({"spec maxUnavailable": DELETE, "spec minAvailable": "100%"}, "minAvailable: is 100%"),
        ({"spec maxUnavailable": DELETE}, "states neither"),
    ),
    *_passed("disruption-budget-drains", "disruption-budget", {}, {"spec maxUnavailable": "25%"}),
    # Access
    *_refused(
        "rbac-wildcard",
        "role",
        ({"rules 0 verbs": ["*"]}, "rules[0].verbs"),
        ({"rules 0 resources": ["pods", "*"]}, "rules[0].resources"),
        ({"rules 0 apiGroups": ["*"]}, "rules[0].apiGroups"),
        ({"rules 0 nonResourceURLs": ["/metrics/*"]}, "rules[0].nonResourceURLs"),
    ),
    *_passed("rbac-wildcard", "role", {}),
    *_refused(
        "rbac-escalation",
        "role",
        ({"rules 0 verbs": ["impersonate"]}, "includes impersonate"),
        ({"rules 0 resources": ["pods/exec"]}, "includes pods/exec"),
        ({"rules 0 resources": ["secrets"]}, "secrets of every namespace"),
        ({"rules 0 resources": ["secrets"], "rules 0 verbs": ["patch"]}, "secrets of every namespace"),
        (
            {"rules 0 resources": ["mutatingwebhookconfigurations"], "rules 0 verbs": ["update"]},
            "includes any of mutatingwebhookconfigurations",
        ),
    ),
    *_passed(
        "rbac-escalation",
        "role",
        {},
        {"rules 0 resources": ["secrets"], "rules 0 resourceNames": ["hub"]},
        {"rules 0 resources": ["mutatingwebhookconfigurations"], "rules 0 verbs": ["get", "list", "watch"]},
        {
            "rules 0 resources": ["mutatingwebhookconfigurations"],
            "rules 0 verbs": ["update"],
            "rules 0 resourceNames": ["hub"],
        },
    ),
    *_refused(
        "rbac-cluster-admin",
        "role-binding",
        ({"roleRef name": "cluster-admin"}, "is cluster-admin"),
        ({"subjects 0": {"kind": "Group", "name": "system:masters"}}, "system:masters"),
    ),
    *_passed("rbac-cluster-admin", "role-binding", {}),
    *_refused(
        "rbac-everybody",
        "role-binding",
        ({"subjects 0": {"kind": "Group", "name": "system:authenticated"}}, "system:authenticated"),
        ({"subjects 0": {"kind": "User", "name": "system:anonymous"}}, "system:anonymous"),
    ),
    *_passed("rbac-everybody", "role-binding", {}),
    *_refused(
        "container-credentials",
        "deployment",
        ({f"{C} env 1": {"name": "HF_TOKEN", "value": "hf_x"}}, "HF_TOKEN is written"),
        ({f"{C} args 4": "--api-key=abc"}, "args[4]"),
        ({f"{C} args": ["serve", "--api-key", "abc"]}, "args[1]"),
    ),
    *_refused(
        "container-credentials",
        "deployment",
        ({f"{C} env 1": {"name": "dbPassword", "value": "P@$$w0rd"}}, "dbPassword is written"),
        ({f"{C} env 1": {"name": "AZURE_BATCH_KEY", "value": "xxxx"}}, "AZURE_BATCH_KEY is written"),
        (
            {f"{C} env 1": {"name": "DSN", "value": "postgres://app:s3cret@db/app"}},
            "a password in an address",
        ),
        ({f"{C} env 1": {"name": "X", "value": _key("OPENSSH ")}}, "a private key"),
        ({f"{C} args 4": "export DB_PASSWORD=abcd1234"}, "args[4]: a credential"),
    ),
    *_passed(
        "container-credentials",
        "deployment",
        {},
        {f"{C} args 4": "--api-key=$(API_KEY)"},
        {f"{C} env 1": {"name": "DB_PASSWORD", "value": "$(FROM_A_SECRET)"}},
        {f"{C} env 1": {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/run/secrets/key.json"}},
        {f"{C} env 1": {"name": "ETCD_INITIAL_CLUSTER_TOKEN", "value": "etcd-cluster-A"}},
    ),
    Case(
        "image-digest",
        "deployment",
        {f"{C} image": "registry.example/server@sha512:" + "a" * 128},
        None,
    ),
    Case(
        "image-digest",
        "deployment",
        {f"{C} image": "registry.example/server@sha512:" + "a" * 64},
        "bad digest",
    ),
    Case("ingress-snippets", "config-map", {"data allow-snippet-annotations": "True"}, "is true"),
    Case("ingress-snippets", "config-map", {"data allow-snippet-annotations": "False"}, None),
    *(
        Case("workload-probes", (f"kubernetes:{token}", GOOD["deployment"][1]), edit, path)
        for token in ("apps.openshift.io/v1:DeploymentConfig", "argoproj.io/v1alpha1:Rollout")
        for edit, path in (({}, None), ({f"{C} livenessProbe": DELETE}, "livenessProbe: is missing"))
    ),
    Case(
        "workload-replicas",
        ("kubernetes:apps.openshift.io/v1:DeploymentConfig", GOOD["deployment"][1]),
        {"spec replicas": 1000.0},
        "replicas",
    ),
    *(Case("pod-host-network", example, {}, path) for example, path in _DESCRIBED),
    *_refused("config-map-credentials", "config-map", *_CREDENTIALS),
    *_passed("config-map-credentials", "config-map", *_NO_CREDENTIALS),
    *_refused(
        "config-map-credentials",
        "config-map",
        (
            {"binaryData": {"key.pem": base64.b64encode(_key("RSA ").encode()).decode()}},
            "binaryData[key.pem]: holds a private key",
        ),
    ),
    *_passed("config-map-credentials", "config-map", {"binaryData": {"picture.png": "iVBORw0KGgo="}}),
)
"""Cases of rules on single resources."""
