"""What kubeadm, containerd and the API server are told."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path

import pytest

from toolchain.cluster import addons, containerd, images, kubeadm, layout, network, readiness

RANGES = network.choose_ranges([])
KEYS = {image.binaries[0]: "0" * 24 for image in images.IMAGES}


def _kubelet(cgroup_version: int) -> dict[str, object]:
    options = kubeadm.Options(RANGES, "/autoglm-test", cgroup_version)
    return next(d for d in kubeadm.configuration(options) if d["kind"] == "KubeletConfiguration")


def _millicores(quantity: str) -> int:
    assert quantity.endswith("m")
    return int(quantity[:-1])


def test_the_system_leaves_the_cpu_to_the_model_server() -> None:
    requests = [*kubeadm.CPU_REQUESTS.values(), kubeadm.COREDNS_CPU_REQUEST]
    for manifest in addons.manifests(RANGES, []):
        if manifest["kind"] in ("Deployment", "DaemonSet"):
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                requests.append(container["resources"]["requests"]["cpu"])
    assert sum(map(_millicores, requests)) <= 350


def test_every_requested_image_is_one_of_the_clusters_own() -> None:
    known = {image.reference for image in images.IMAGES}
    for manifest in addons.manifests(RANGES, []):
        if manifest["kind"] in ("Deployment", "DaemonSet"):
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                assert container.get("image", next(iter(known))) in known
    assert layout.PAUSE_IMAGE in known
    assert all(re.fullmatch(r"autoglm\.local/[a-z-]+:[\w.-]+", reference) for reference in known)


def test_kubelet_accepts_cgroup_version_1_only_where_it_is_used() -> None:
    assert _kubelet(1)["failCgroupV1"] is False
    assert "failCgroupV1" not in _kubelet(2)


def test_kubelet_never_collects_images_that_no_registry_has() -> None:
    assert _kubelet(2)["imageGCHighThresholdPercent"] == 100


def test_the_api_is_served_on_the_nodes_own_address_only() -> None:
    documents = kubeadm.configuration(kubeadm.Options(RANGES, "/autoglm-test", 2))
    cluster = next(d for d in documents if d["kind"] == "ClusterConfiguration")
    assert {"name": "bind-address", "value": str(RANGES.node)} in cluster["apiServer"]["extraArgs"]
    assert not ipaddress.ip_address(str(RANGES.node)).is_loopback


def test_a_rebuilt_image_restarts_its_static_pod() -> None:
    before = kubeadm.patches(KEYS)
    after = kubeadm.patches({**KEYS, "etcd": "1" * 24})
    assert before["etcd+strategic.json"] != after["etcd+strategic.json"]
    assert before["kube-apiserver+strategic.json"] == after["kube-apiserver+strategic.json"]


def test_names_in_the_kubeconfig_cannot_be_another_clusters() -> None:
    admin = {"clusters": [{"cluster": {"server": "s"}}], "users": [{"user": {"client-key-data": "k"}}]}
    config = kubeadm.kubeconfig(admin)
    assert config["current-context"] == "autoglm-embedded"
    assert config["contexts"][0]["context"] == {"cluster": "autoglm-embedded", "user": "autoglm-embedded"}


def test_containerd_reads_its_configuration() -> None:
    options = containerd.Options(
        Path("/r/runc"), (Path("/a"), Path("/b")), "overlayfs", restrict_oom_score=True
    )
    config = tomllib.loads(containerd.configuration(options))
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["cni"]["bin_dirs"] == ["/a", "/b"]
    assert runtime["restrict_oom_score_adj"] is True
    assert runtime["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/r/runc"
    assert config["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]["sandbox"] == layout.PAUSE_IMAGE


@pytest.mark.parametrize(
    ("kind", "name"), [("ext4", "overlayfs"), ("xfs", "overlayfs"), ("overlay", "native")]
)
def test_overlayfs_is_not_stacked_on_itself(kind: str, name: str) -> None:
    mountinfo = f"1 0 0:1 / / rw - {kind} none rw\n2 1 0:2 / /proc rw - proc proc rw\n"
    assert containerd.snapshotter(containerd.filesystem_of(Path("/srv/data"), mountinfo)) == name


def test_names_outside_the_cluster_fail_at_once_without_an_upstream() -> None:
    assert "forward . 192.0.2.53" in addons.corefile(["192.0.2.53"])
    assert "rcode NXDOMAIN" in addons.corefile([])
    assert "forward" not in addons.corefile([])


def test_published_models_are_mounted_read_only_and_outlive_claims() -> None:
    volume = addons.published_models()
    assert volume["spec"]["mountOptions"] == ["ro"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["metadata"]["labels"]["autoglm.dev/rebind"] == "true"


def _pod(name: str, ready: str = "True") -> dict[str, object]:
    return {
        "kind": "Pod",
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def _whole_cluster() -> list[dict[str, object]]:
    node: dict[str, object] = {
        "kind": "Node",
        "metadata": {"name": layout.NODE},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    return [node, *(_pod(f"{component}-{layout.NODE}") for component in kubeadm.CPU_REQUESTS)]


def test_a_cluster_is_ready_when_node_and_control_plane_are() -> None:
    assert readiness.unready({"items": _whole_cluster()}) == []


def test_what_is_missing_is_named() -> None:
    assert readiness.unready({"items": []}) == [f"node {layout.NODE}"]
    items = _whole_cluster()
    items[1] = _pod(f"kube-apiserver-{layout.NODE}", ready="False")
    del items[2]
    assert readiness.unready({"items": items}) == [f"pod kube-apiserver-{layout.NODE}", "pod etcd"]


def test_an_add_on_that_is_still_rolling_out_is_not_ready() -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "coredns", "generation": 2},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "availableReplicas": 1, "updatedReplicas": 1},
    }
    assert readiness.unready({"items": [*_whole_cluster(), deployment]}) == ["deployment coredns"]


def test_the_api_server_is_told_what_to_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "KUBERNETES", tmp_path / "kubernetes")
    monkeypatch.setattr(layout, "AUDIT_LOGS", tmp_path / "audit")
    monkeypatch.setattr(layout, "KUBEADM_CONFIG", tmp_path / "kubeadm.yaml")
    monkeypatch.setattr(layout, "KUBEADM_PATCHES", tmp_path / "patches")
    options = kubeadm.Options(RANGES, "/autoglm-test", 2)
    digest = kubeadm.write(options, KEYS)
    server = next(d for d in kubeadm.configuration(options) if d["kind"] == "ClusterConfiguration")[
        "apiServer"
    ]
    flags = {argument["name"]: argument["value"] for argument in server["extraArgs"]}
    volumes = {volume["mountPath"]: volume for volume in server["extraVolumes"]}
    policy, log = Path(flags["audit-policy-file"]), Path(flags["audit-log-path"])
    assert volumes[str(policy.parent)]["readOnly"] is True
    assert volumes[str(log.parent)]["hostPath"] == str(tmp_path / "audit")
    assert log.parent in {mount.target for mount in layout.MOUNTS}
    written = tmp_path / "kubernetes" / policy.relative_to("/etc/kubernetes")
    assert written.read_bytes() == (kubeadm.AUDIT / "policy.yaml").read_bytes()
    assert (tmp_path / "audit").stat().st_mode & 0o077 == 0
    # A changed policy restarts the API server: kubeadm writes its manifest again.
    changed = tmp_path / "changed"
    changed.mkdir()
    for name in ("policy.yaml", "flags.json"):
        (changed / name).write_text((kubeadm.AUDIT / name).read_text() + "\n")
    monkeypatch.setattr(kubeadm, "AUDIT", changed)
    assert kubeadm.write(options, KEYS) != digest
