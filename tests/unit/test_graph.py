"""What the program registers: the whole graph as a snapshot, and what must hold for every object in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
import pulumi_kubernetes as kubernetes
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from stacks import model_plan as planning
from stacks.plan import plan_platform
from stacks.platform import build_platform
from stacks.targets.target import Target
from tests.unit.examples import CATALOGUE, CUDA, FILE, IMAGES, STACK, SUMS, VERSIONS, raw, settings
from tests.unit.graph import CLUSTER_IP, Registration, objects, record

ALL_IMAGES = IMAGES | {"vllm": f"registry.example/vllm@sha256:{'3' * 64}"}
HUB = {
    "models[0].source": {
        "kind": "huggingface",
        "repo": "zai-org/AutoGLM-Phone-9B",
        "egressCidrs": ["192.0.2.0/24"],
        "credentialsSecret": "hub",
    },
    "models[0].revision": "0123456789abcdef0123456789abcdef01234567",
}
STACKS: dict[str, Mapping[str, Any]] = {
    "cpu-file": {},
    "gpu-hub-protected": {**CUDA, **HUB, "dataProtection": "protected"},
}


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "load_catalogue", lambda _: CATALOGUE)


def build(changes: Mapping[str, Any]) -> tuple[list[Registration], dict[str, Any]]:
    plan = plan_platform(settings(changes), VERSIONS, ALL_IMAGES, STACK, FILE)

    def program() -> dict[str, Any]:
        provider = kubernetes.Provider("cluster", kubeconfig="kubeconfig")
        return build_platform(plan, Target(provider, images=plan.images)).outputs

    return record(program)


@pytest.fixture(scope="module", params=STACKS)
def graph(request: pytest.FixtureRequest) -> Iterator[list[Registration]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "load_catalogue", lambda _: CATALOGUE)
        yield build(STACKS[request.param])[0]


def of_kind(graph: list[Registration], kind: str) -> list[Registration]:
    return [item for item in objects(graph) if item.kind == kind]


def pod_templates(graph: list[Registration]) -> list[Mapping[str, Any]]:
    return [
        item.inputs["spec"]["template"] for kind in ("Job", "Deployment") for item in of_kind(graph, kind)
    ]


def containers(graph: list[Registration]) -> list[Mapping[str, Any]]:
    return [
        container
        for template in pod_templates(graph)
        for key in ("initContainers", "containers")
        for container in template["spec"].get(key, [])
    ]


@pytest.mark.parametrize("stack", STACKS)
def test_the_registered_graph(stack: str, snapshot: SnapshotAssertion) -> None:
    registrations, outputs = build(STACKS[stack])
    document = {f"{item.type} {item.name}": item.snapshot() for item in registrations}
    assert document | {"outputs": outputs} == snapshot(extension_class=JSONSnapshotExtension)


def test_outputs() -> None:
    _, outputs = build({})
    digest = settings().models[0].sha256_sums.digest
    assert outputs == {
        "endpoint": f"http://{CLUSTER_IP}:8000",
        "namespace": "autoglm",
        "models": {
            "phone": {
                "revision": "v1",
                "digest": f"sha256:{digest}",
                "endpoint": f"http://{CLUSTER_IP}:8000",
            }
        },
        "dashboards": {},
    }


def test_every_object_is_valid_kubernetes(graph: list[Registration]) -> None:
    for item in objects(graph):
        document = item.document
        document["metadata"].setdefault("name", item.name)
        kubernetes_validate.validate(document, VERSIONS.kubernetes.rsplit(".", 1)[0], strict=True)


def test_every_object_is_a_child_of_a_component_and_uses_the_explicit_provider(
    graph: list[Registration],
) -> None:
    components = {item.name for item in graph if item.type.startswith("autoglm:")}
    for item in objects(graph):
        assert item.parent in components
        assert "::cluster::" in item.provider


def test_component_tokens(graph: list[Registration]) -> None:
    assert {item.type for item in graph if item.type.startswith("autoglm:")} == {
        "autoglm:tenant_namespace:TenantNamespace",
        "autoglm:model_store:ModelStore",
        "autoglm:model_server:ModelServer",
    }


def test_every_object_is_named_and_in_the_tenants_namespace(graph: list[Registration]) -> None:
    for item in objects(graph):
        metadata = item.inputs["metadata"]
        assert item.kind == "Job" or len(metadata["name"]) <= 63
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "pulumi"
        assert item.kind == "Namespace" or metadata["namespace"] == "autoglm"


def test_requests_equal_limits_for_everything(graph: list[Registration]) -> None:
    for container in containers(graph):
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]
        assert {"cpu", "memory", "ephemeral-storage"} <= resources["limits"].keys()


def test_pods_meet_the_restricted_standard(graph: list[Registration]) -> None:
    for template in pod_templates(graph):
        context = template["spec"]["securityContext"]
        assert context["runAsNonRoot"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["enableServiceLinks"] is False
    for container in containers(graph):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_images_are_pinned_by_digest(graph: list[Registration]) -> None:
    assert all("@sha256:" in container["image"] for container in containers(graph))


def test_the_namespace_denies_by_default(graph: list[Registration]) -> None:
    (policy,) = [item for item in of_kind(graph, "NetworkPolicy") if item.name == "tenant-default-deny"]
    assert policy.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (namespace,) = of_kind(graph, "Namespace")
    labels = namespace.inputs["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "v1.36"


def test_every_workload_has_its_own_network_policy(graph: list[Registration]) -> None:
    selectors = [
        item.inputs["spec"]["podSelector"].get("matchLabels") for item in of_kind(graph, "NetworkPolicy")
    ]
    for template in pod_templates(graph):
        labels = template["metadata"]["labels"]
        assert any(selector and selector.items() <= labels.items() for selector in selectors)


def test_only_trusted_namespaces_reach_the_server_and_it_reaches_nothing(graph: list[Registration]) -> None:
    (policy,) = [item for item in of_kind(graph, "NetworkPolicy") if item.name == "phone"]
    spec = policy.inputs["spec"]
    assert spec["ingress"] == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"purpose": "trusted"}}}],
            "ports": [{"port": 8000, "protocol": "TCP"}],
        }
    ]
    assert not spec.get("egress")
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_selectors_are_stable(graph: list[Registration]) -> None:
    (deployment,) = of_kind(graph, "Deployment")
    selector = deployment.inputs["spec"]["selector"]["matchLabels"]
    assert selector == {"app.kubernetes.io/name": "model-server", "app.kubernetes.io/instance": "phone"}
    (service,) = of_kind(graph, "Service")
    assert service.inputs["spec"]["selector"] == selector


def test_the_server_waits_for_the_verified_weights(graph: list[Registration]) -> None:
    (deployment,) = of_kind(graph, "Deployment")
    assert "phone-fetch" in deployment.depends_on


def test_weights_are_mounted_read_only_by_digest_and_verified_first(graph: list[Registration]) -> None:
    (deployment,) = of_kind(graph, "Deployment")
    digest = settings().models[0].sha256_sums.digest
    pod = deployment.inputs["spec"]["template"]["spec"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "weights"]
        assert mount["readOnly"] is True
        assert mount["subPath"] == f"phone/{digest}"
    assert pod["initContainers"][0]["args"][0] == "verify"


def test_there_is_time_to_drain(graph: list[Registration]) -> None:
    (deployment,) = of_kind(graph, "Deployment")
    pod = deployment.inputs["spec"]["template"]["spec"]
    (engine,) = pod["containers"]
    sleep = engine["lifecycle"]["preStop"]["sleep"]["seconds"]
    (drain,) = [int(a.partition("=")[2]) for a in engine["args"] if a.startswith("--shutdown-timeout=")]
    assert pod["terminationGracePeriodSeconds"] > sleep + drain


def test_a_file_source_gets_no_egress_and_a_hub_only_its_networks() -> None:
    def egress(changes: Mapping[str, Any]) -> Any:
        policies = of_kind(build(changes)[0], "NetworkPolicy")
        return (
            next(item for item in policies if item.name == "phone-store-fetch").inputs["spec"].get("egress")
        )

    assert not egress({})
    assert egress(HUB) == [
        {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    ]


def test_the_fetch_job_is_named_by_the_provider(graph: list[Registration]) -> None:
    (job,) = of_kind(graph, "Job")
    assert "name" not in job.inputs["metadata"]
    assert len(job.name) <= 54


def test_changing_back_gives_the_very_same_server() -> None:
    def template(changes: Mapping[str, Any]) -> Any:
        return of_kind(build(changes)[0], "Deployment")[0].inputs["spec"]["template"]

    assert template({}) == template({"models[0].fetch": {"workers": 9}})
    assert template({}) != template({"models[0].sha256Sums": f"{'c' * 64}  config.json\n"})


def test_pods_carry_the_manifest_that_they_check(graph: list[Registration]) -> None:
    for template in pod_templates(graph):
        assert template["metadata"]["annotations"]["autoglm-platform/sha256sums"] == SUMS
        (volume,) = [volume for volume in template["spec"]["volumes"] if volume["name"] == "sums"]
        (item,) = volume["downwardAPI"]["items"]
        assert item["path"] == "SHA256SUMS"
        assert "autoglm-platform/sha256sums" in item["fieldRef"]["fieldPath"]


def test_protected_data_cannot_be_deleted() -> None:
    def protected(changes: Mapping[str, Any]) -> set[str]:
        return {item.name for item in build(changes)[0] if item.protect}

    assert protected({"dataProtection": "protected"}) == {"tenant", "phone-store-weights"}
    assert protected({}) == set()


def test_two_models_do_not_share_names() -> None:
    room = {"cpu": "8", "memory": "32Gi"}
    second = {**raw()["models"][0], "name": "second"}
    quota = raw()["tenant"]["quota"] | room | {"ephemeralStorage": "20Gi"}
    changes: dict[str, Any] = {"models[1]": second, "tenant.quota": quota, "cluster.capacity": room}
    graph, outputs = build(changes)
    names = [(item.kind, item.inputs["metadata"].get("name", item.name)) for item in objects(graph)]
    assert len(names) == len(set(names))
    assert set(outputs["models"]) == {"phone", "second"}
