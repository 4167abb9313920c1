"""Kubernetes on machines of one's own: local storage and the virtual IP."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components.model_server.vllm import PORT
from components.onprem.component import OnpremPlatform, OnpremPlatformArgs
from components.onprem.plan import OnpremPlan
from stacks.images import VIRTUAL_IP
from stacks.plan import PlatformPlan
from stacks.targets.app_images import app_images
from stacks.targets.kubeconfig import kubeconfig
from stacks.targets.target import Target, kubernetes_provider

_FIX = "copy /etc/kubernetes/admin.conf of a control-plane node there, or set KUBECONFIG"


def build_onprem(plan: PlatformPlan, onprem: OnpremPlan, root: Path, file: str) -> Target:
    """What the cluster needs beneath the components on top, in the cluster of the kubeconfig."""
    settings = onprem.settings
    provider = kubernetes_provider(
        kubeconfig(settings.kubeconfig, root, file, _FIX), context=settings.context
    )
    images = app_images(plan, root, after=None)
    platform = OnpremPlatform(
        "cluster",
        OnpremPlatformArgs(
            plan=onprem,
            pod_security_version=plan.pod_security_version,
            virtual_ip_image=images[VIRTUAL_IP],
            upstream=f"{plan.models[0].model.name}.{plan.settings.tenant.namespace}.svc.cluster.local:{PORT}",
        ),
        pulumi.ResourceOptions(providers=[provider]),
    )
    return Target(
        provider, images=images, client_cidrs=onprem.entry_cidrs, outputs={"endpoint": platform.endpoint}
    )
