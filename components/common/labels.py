"""Recommended Kubernetes labels.

https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/

Selectors are immutable, so they carry only what never changes: name and instance. The version goes on objects
and pods, never into a selector.
"""

from __future__ import annotations

from typing import Final

from components.common.names import label_value

NODE_POOL: Final = "autoglm-platform/node-pool"
"""Label of every node: its pool's name in the settings, whatever the cloud calls the pool."""
PART_OF: Final = "autoglm-platform"


def selector_labels(name: str, instance: str) -> dict[str, str]:
    """Labels that identify the pods of one instance of a workload, for good."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": instance}


def object_labels(name: str, instance: str, *, component: str, version: str | None = None) -> dict[str, str]:
    """Selector labels and what describes the object."""
    labels = selector_labels(name, instance) | {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": "pulumi",
    }
    if version is not None:
        labels["app.kubernetes.io/version"] = label_value(version)
    return labels
