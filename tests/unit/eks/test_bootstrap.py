"""User data, read as EC2, cloud-init and nodeadm read it."""

from __future__ import annotations

import base64
import email
import re
import subprocess
from email.message import Message

import pytest
import yaml

from components.eks.bootstrap import MAX_BYTES, Bootstrap, MigLayout, user_data

PLAIN = Bootstrap(max_pods=110)
MIG = Bootstrap(max_pods=30, instance_store=True, mig=MigLayout("1g.10gb", 7))


def parts(bootstrap: Bootstrap) -> list[Message]:
    raw = base64.b64decode(user_data(bootstrap), validate=True)
    assert len(raw) <= MAX_BYTES
    message = email.message_from_bytes(raw)
    assert message.get_content_type() == "multipart/mixed"
    assert message["MIME-Version"] == "1.0"
    assert message.defects == []
    found = message.get_payload()
    assert isinstance(found, list)
    return [part for part in found if isinstance(part, Message)]


def text(part: Message) -> str:
    # nodeadm reads bodies as they are (Go's mime/multipart decodes no base64).
    assert part["Content-Transfer-Encoding"] == "7bit"
    return str(part.get_payload())


def scripts(bootstrap: Bootstrap) -> list[str]:
    return [text(part) for part in parts(bootstrap) if part.get_content_type() == "text/x-shellscript"]


def files(script: str) -> dict[str, str]:
    """Files that a script writes."""
    return dict(re.findall(r"^cat >(\S+) <<'EOF'\n(.*?)^EOF$", script, re.MULTILINE | re.DOTALL))


def test_the_first_part_is_for_nodeadm() -> None:
    first = parts(PLAIN)[0]
    assert first.get_content_type() == "application/node.eks.aws"
    config = yaml.safe_load(text(first))
    assert (config["apiVersion"], config["kind"]) == ("node.eks.aws/v1alpha1", "NodeConfig")


def test_containers_may_open_65536_files() -> None:
    spec = yaml.safe_load(text(parts(PLAIN)[0]))["spec"]
    assert spec["containerd"]["baseRuntimeSpec"]["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 65536, "hard": 65536}
    ]


def test_disks_of_the_instance_become_one() -> None:
    assert yaml.safe_load(text(parts(MIG)[0]))["spec"]["instance"] == {"localStorage": {"strategy": "RAID0"}}
    assert "instance" not in yaml.safe_load(text(parts(PLAIN)[0]))["spec"]


def test_kernel_parameters() -> None:
    (script,) = scripts(PLAIN)
    written = files(script)["/etc/sysctl.d/90-autoglm-platform.conf"]
    assert dict(line.split(" = ") for line in written.splitlines()) == {
        "net.core.somaxconn": "65535",
        "fs.file-max": "2097152",
    }
    assert "sysctl --load=/etc/sysctl.d/90-autoglm-platform.conf" in script


def test_the_number_of_pods_wins_over_what_eks_computes() -> None:
    (script,) = scripts(PLAIN)
    config = yaml.safe_load(files(script)["/etc/eks/nodeadm.d/90-autoglm-platform.yaml"])
    assert config["spec"]["kubelet"] == {"maxPodsExpression": "110", "config": {"maxPods": 110}}


def test_gpus_are_partitioned_before_the_kubelet_starts_and_after_every_boot() -> None:
    script = scripts(MIG)[1]
    written = files(script)
    assert "--create-gpu-instance=" + ",".join(["1g.10gb"] * 7) in written["/usr/local/sbin/partition-gpus"]
    unit = written["/etc/systemd/system/partition-gpus.service"]
    assert "Before=nodeadm-run.service" in unit
    assert "WantedBy=multi-user.target" in unit
    assert script.rstrip().endswith("/usr/local/sbin/partition-gpus")
    assert len(scripts(PLAIN)) == 1


@pytest.mark.parametrize("bootstrap", [PLAIN, MIG])
def test_scripts_are_shell(bootstrap: Bootstrap) -> None:
    for script in scripts(bootstrap):
        inner = [body for path, body in files(script).items() if path.startswith("/usr/local/sbin/")]
        for body in (script, *inner):
            assert body.startswith("#!/bin/bash\nset -euo pipefail\n")
            subprocess.run(["bash", "-n"], input=body, text=True, check=True)


def test_the_same_settings_give_the_same_text() -> None:
    assert user_data(MIG) == user_data(Bootstrap(30, True, MigLayout("1g.10gb", 7)))
