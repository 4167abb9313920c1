"""kubeadm's configuration: read by kubeadm itself, and what it says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.audit import api_server
from components.hosts.files import files
from components.hosts.kubeadm import DISCOVERY_FILE, PATCHES, render_kubeadm, render_kubelet_patch
from tests.harness.commands import run
from tests.unit.hosts.examples import host, plan
from toolchain import golang
from toolchain.errors import ToolchainError

EXTERNAL = {"kind": "external", "endpoints": [f"https://192.168.1.{number}:2379" for number in (31, 32, 33)]}
# Nothing is fetched: the test wants to see the configuration, not the server.
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: "", cluster: {server: "https://192.168.1.101:8443"}}]
"""


def documents(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def rendered(name: str, **changes: Any) -> dict[str, Any]:
    planned = plan(**changes)
    return documents(render_kubeadm(planned, host(planned, name)))


def arguments(of: list[dict[str, str]]) -> dict[str, str]:
    return {argument["name"]: argument["value"] for argument in of}


@pytest.fixture(scope="module")
def kubeadm() -> Path:
    try:
        return golang.ensure_binaries("kubeadm", link=False)["kubeadm"]
    except ToolchainError as error:
        pytest.skip(f"kubeadm cannot be built: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["node-1", "node-2", "gpu-1", "npu-1", "mlu-1"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"control_plane": {"etcd": EXTERNAL}},
        {"swap": "limited", "imageRepository": "registry.example/k8s"},
    ],
    ids=["stacked", "external", "swap"],
)
def test_kubeadm_accepts_it(kubeadm: Path, tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    planned = plan(**changes)
    discovery = tmp_path / "discovery.conf"
    discovery.write_text(KUBECONFIG)
    file = tmp_path / "kubeadm.yaml"
    # kubeadm insists that the file, which the operator copies, exists.
    file.write_text(render_kubeadm(planned, host(planned, name)).replace(DISCOVERY_FILE, str(discovery)))
    assert run([kubeadm, "config", "validate", f"--config={file}"]).succeeded().output == "ok\n"


@pytest.mark.slow
def test_kubeadm_refuses_a_misspelt_one(kubeadm: Path, tmp_path: Path) -> None:
    planned = plan()
    file = tmp_path / "kubeadm.yaml"
    text = render_kubeadm(planned, host(planned, "node-1"))
    file.write_text(text.replace("controlPlaneEndpoint", "controlplaneEndpoint"))
    run([kubeadm, "config", "validate", f"--config={file}"]).failed()


@pytest.mark.slow
def test_kubeadm_would_make_the_control_plane(kubeadm: Path, tmp_path: Path) -> None:
    """A dry run of `kubeadm init`, in a network where the node has its address."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a network namespace: needs root and the program `unshare`")
    planned = plan()
    first = host(planned, "node-1")
    patches, out = tmp_path / "patches", tmp_path / "out"
    patches.mkdir()
    (patches / "kubeletconfiguration0+merge.yaml").write_text(render_kubelet_patch(first))
    (tmp_path / "kubeadm.yaml").write_text(render_kubeadm(planned, first).replace(PATCHES, str(patches)))
    network = (
        "ip link set lo up && ip link add eth0 type veth peer name peer0 && "
        "ip address add 192.168.1.11/24 dev eth0 && ip link set peer0 up && ip link set eth0 up && "
        "ip route add default via 192.168.1.1"
    )
    # The machine's own ports and files are of no interest; nothing is waited for that does not start.
    skipped = "--skip-phases=preflight,wait-control-plane"
    command = f"{kubeadm} init --dry-run {skipped} --config={tmp_path}/kubeadm.yaml"
    told = run(
        ["unshare", "--net", "bash", "-c", f"{network} && exec {command}"],
        env={**os.environ, "KUBEADM_INIT_DRYRUN_DIR": str(out)},
    ).succeeded()
    assert "192.168.1.101" in next(
        line for line in told.output.splitlines() if "apiserver serving cert is signed for" in line
    )
    manifest = yaml.safe_load((out / "kube-scheduler.yaml").read_text())
    assert "--leader-elect=true" in manifest["spec"]["containers"][0]["command"]
    kubelet = yaml.safe_load((out / "config.yaml").read_text())
    assert kubelet["kubeReserved"] == yaml.safe_load(render_kubelet_patch(first))["kubeReserved"]


def test_everyone_reaches_the_api_over_the_virtual_address() -> None:
    cluster = rendered("node-1")["ClusterConfiguration"]
    assert cluster["controlPlaneEndpoint"] == "192.168.1.101:8443"
    assert {"192.168.1.101", "192.168.1.11", "192.168.1.12", "192.168.1.13"} == set(
        cluster["apiServer"]["certSANs"]
    )


def test_leaders_are_elected() -> None:
    cluster = rendered("node-1")["ClusterConfiguration"]
    for component in ("controllerManager", "scheduler"):
        assert arguments(cluster[component]["extraArgs"])["leader-elect"] == "true"


def test_etcd_stacked_or_external() -> None:
    assert rendered("node-1")["ClusterConfiguration"]["etcd"] == {"local": {"dataDir": "/var/lib/etcd"}}
    external = rendered("node-1", control_plane={"etcd": EXTERNAL})["ClusterConfiguration"]["etcd"]
    assert external["external"]["endpoints"] == EXTERNAL["endpoints"]
    assert external["external"]["certFile"].endswith(".crt")


def test_other_control_plane_nodes_join_as_such_and_workers_do_not() -> None:
    assert rendered("node-2")["JoinConfiguration"]["controlPlane"]["localAPIEndpoint"] == {
        "advertiseAddress": "192.168.1.12",
        "bindPort": 6443,
    }
    assert "controlPlane" not in rendered("gpu-1")["JoinConfiguration"]


@pytest.mark.parametrize(
    ("name", "resource"),
    [("gpu-1", "nvidia.com/gpu"), ("npu-1", "huawei.com/Ascend910"), ("mlu-1", "cambricon.com/mlu")],
)
def test_nodes_with_accelerators_are_labelled_and_tainted_as_they_join(name: str, resource: str) -> None:
    registration = rendered(name)["JoinConfiguration"]["nodeRegistration"]
    assert registration["taints"] == [{"key": resource, "value": "present", "effect": "NoSchedule"}]
    labels = arguments(registration["kubeletExtraArgs"])["node-labels"]
    assert labels == f"autoglm-platform/node-pool={name.partition('-')[0]}"


def test_a_control_plane_node_takes_workloads_only_as_member_of_a_pool() -> None:
    assert rendered("node-1")["InitConfiguration"]["nodeRegistration"]["taints"] == []
    # Not stated: kubeadm's own taint.
    assert "taints" not in rendered("node-2")["JoinConfiguration"]["nodeRegistration"]


def test_every_api_server_writes_down_who_did_what() -> None:
    told = rendered("node-1")["ClusterConfiguration"]["apiServer"]
    flags = arguments(told["extraArgs"])
    assert api_server.flags().items() <= flags.items()
    volumes = {volume["name"]: volume for volume in told["extraVolumes"]}
    policy, log = Path(flags["audit-policy-file"]), Path(flags["audit-log-path"])
    assert volumes["audit-policy"]["mountPath"] == volumes["audit-policy"]["hostPath"] == str(policy.parent)
    assert volumes["audit-policy"]["readOnly"] is True
    assert volumes["audit-log"]["mountPath"] == volumes["audit-log"]["hostPath"] == str(log.parent)
    assert volumes["audit-log"]["readOnly"] is False


@pytest.mark.parametrize(
    ("name", "there"), [("node-1", True), ("node-2", True), ("node-3", True), ("gpu-1", False)]
)
def test_the_audit_policy_lies_where_api_servers_look_for_it(name: str, there: bool) -> None:
    planned = plan()
    found = {file.path: file for file in files(planned, host(planned, name))}
    policy = found.get(str(api_server.policy_path()))
    assert (policy is not None) == there
    if policy is not None:
        assert (policy.content, policy.mode) == (api_server.policy(), "0600")


def test_no_secret_is_rendered() -> None:
    planned = plan()
    for one in planned.hosts:
        text = render_kubeadm(planned, one)
        assert "token" not in text.lower()
        assert "certificateKey" not in text


def test_the_kubelet_is_locked_and_ends_pods_in_order() -> None:
    kubelet = rendered("node-1")["KubeletConfiguration"]
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["readOnlyPort"] == 0
    assert kubelet["failSwapOn"] is True
    assert kubelet["shutdownGracePeriodCriticalPods"] == "90s"
    assert rendered("node-1", swap="limited")["KubeletConfiguration"]["memorySwap"] == {
        "swapBehavior": "LimitedSwap"
    }


def test_reservations_follow_the_machines_own_processors() -> None:
    planned = plan()
    small, large = (
        yaml.safe_load(render_kubelet_patch(host(planned, name)))["kubeReserved"]["cpu"]
        for name in ("node-2", "gpu-1")
    )
    assert (small, large) == ("80m", "230m")
