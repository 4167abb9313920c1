"""The Kubernetes half of a cloud stack: what `stacks.targets` puts into a cluster, without what is below."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from components.eks.addons import EksAddons, EksAddonsArgs  # noqa: E402
from components.eks.plan import EksPlan  # noqa: E402
from components.gke.addons import GkeAddons, GkeAddonsArgs  # noqa: E402
from components.gke.plan import GkePlan  # noqa: E402
from stacks.config import raw_settings  # noqa: E402
from stacks.images import AUTOSCALER, DEVICE_PLUGIN  # noqa: E402
from stacks.plan import PlatformPlan, plan_settings  # noqa: E402
from stacks.platform import build_platform  # noqa: E402
from stacks.problems import SettingsError  # noqa: E402
from stacks.targets.target import Target, kubernetes_provider  # noqa: E402


def _plan() -> PlatformPlan:
    """The plan of the stack. Its example values may stay: nothing here pulls an image or asks a cloud."""
    stack = pulumi.get_stack()
    file = f"Pulumi.{stack}.yaml"
    try:
        return plan_settings(raw_settings(file), stack, file, ROOT)
    except SettingsError as error:
        raise pulumi.RunError(f"settings refused, nothing was changed:\n{error}") from None


def _addons(plan: PlatformPlan, options: pulumi.ResourceOptions) -> pulumi.Resource:
    """The cloud's own part inside the cluster; names that the cloud would give are made up."""
    match plan.cluster.below:
        case EksPlan() as eks:
            args = EksAddonsArgs(
                plan=eks,
                file_system_id="fs-00000000000000000",
                device_plugin_image=plan.images.get(DEVICE_PLUGIN),
                autoscaler_image=plan.images[AUTOSCALER],
            )
            return EksAddons("addons", args, options)
        case GkePlan() as gke:
            key = "projects/example-project/locations/europe-west4/keyRings/simulated/cryptoKeys/disks"
            return GkeAddons("addons", GkeAddonsArgs(gke, disks_key=key, shared_storage_key=key), options)
        case _:
            raise pulumi.RunError("only stacks of a cloud are simulated")


plan = _plan()
provider = kubernetes_provider(os.environ["KUBECONFIG"])
_addons(plan, pulumi.ResourceOptions(providers=[provider]))
for name, value in build_platform(plan, Target(provider, images=plan.images)).outputs.items():
    pulumi.export(name, value)
