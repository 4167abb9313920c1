"""The Kubernetes objects in a resource, and the pods in an object, whatever the shape.

A resource can be one object, a list of objects (`DeploymentList`), a part of an object (`DeploymentPatch`) or
a custom resource. A CustomResource's type token carries its own apiVersion and kind, so a Pod written as one
is found as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from policies import operators
from policies.values import UNKNOWN, child, elements, entries, label, quantity, safe_key

_POD_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where the pod's metadata and spec lie in the built-in kinds."""

CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
"""Fields of a pod's specification that list containers."""
_BATCH_KINDS: Final = frozenset({"Job", "CronJob"})
_SERVING_COMPONENTS: Final = frozenset({"inference", "serving"})
_COMPONENT_LABEL: Final = "app.kubernetes.io/component"
_KSERVE: Final = "serving.kserve.io"
_MAX_DEPTH: Final = 64

Role = Literal["main", "init", "sidecar", "ephemeral"]


@dataclass(frozen=True)
class KubernetesObject:
    """An object, or the part of one that a patch states."""

    group: str
    """API group; empty for core."""
    kind: str
    path: str
    """Where it lies in the resource: empty, or `items[3]`."""
    body: Mapping[str, object]
    partial: bool
    """The rest of the object is somewhere else, so what is missing here may be there."""

    @property
    def builtin(self) -> bool:
        """Served by the API server itself rather than defined by a CustomResourceDefinition."""
        return "." not in self.group or (
            self.group.endswith(".k8s.io")
            and self.group not in _ADD_ON_GROUPS
            and ".x-k8s.io" not in self.group
        )

    @property
    def name(self) -> object:
        """Name, if it is stated and known."""
        return child(self.body, "metadata", "name")

    @property
    def namespace(self) -> object:
        """Namespace, if it is stated and known."""
        return child(self.body, "metadata", "namespace")

    def at(self, *keys: str) -> str:
        """Path of a field, for a message."""
        return ".".join([part for part in (self.path, *keys) if part])

    def __str__(self) -> str:
        name = label(self.name)
        return f"{self.kind} {name}" if name else self.kind


_ADD_ON_GROUPS: Final = frozenset(
    {"gateway.networking.k8s.io", "inference.networking.k8s.io", "policy.networking.k8s.io"}
)


@dataclass(frozen=True)
class Container:
    """A container of a pod."""

    path: str
    role: Role
    body: Mapping[str, object]
    pod: Pod

    def __str__(self) -> str:
        name = label(self.body.get("name"))
        return f"{self.pod.owner} {self.path}" + (f" ({name})" if name else "")

    def amount(self, section: Literal["requests", "limits"], resource: str) -> object:
        """What the container asks for or is held to, as written."""
        return child(self.body, "resources", section, resource)

    def extended_resources(self) -> set[str]:
        """Names of the extended resources (accelerators) in its requests or limits."""
        return {
            name
            for section in ("requests", "limits")
            for name, _ in entries(child(self.body, "resources", section))
            if is_extended(name)
        }


@dataclass(frozen=True)
class Pod:
    """A pod or the template of one."""

    owner: KubernetesObject
    path: str
    """Of its spec."""
    spec: Mapping[str, object]
    metadata: object

    @property
    def custom(self) -> bool:
        """Part of a custom resource, whose controller may add to it."""
        return not self.owner.builtin

    @property
    def batch(self) -> bool:
        """Runs to completion."""
        return self.owner.kind in _BATCH_KINDS

    @property
    def serving(self) -> bool:
        """Answers requests: labelled so, or long-running and given an accelerator."""
        if self.batch:
            return False
        labels = (child(self.metadata, "labels"), child(self.owner.body, "metadata", "labels"))
        components = [child(one, _COMPONENT_LABEL) for one in labels]
        if any(isinstance(one, str) and one in _SERVING_COMPONENTS for one in components):
            return True
        return any(container.extended_resources() for container in self.containers())

    def containers(self) -> Iterator[Container]:
        """Every container: main, init (sidecars among them) and ephemeral."""
        for name in CONTAINER_LISTS:
            for index, body in elements(self.spec.get(name)):
                if isinstance(body, Mapping):
                    yield Container(f"{self.path}.{name}[{index}]".lstrip("."), _role(name, body), body, self)

    def volumes(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Every volume with its path."""
        for index, body in elements(self.spec.get("volumes")):
            if isinstance(body, Mapping):
                yield f"{self.owner} {self.path}.volumes[{index}]", body

    def __str__(self) -> str:
        return f"{self.owner} {self.path}".rstrip()


def _role(field: str, body: Mapping[str, object]) -> Role:
    if field == "containers":
        return "main"
    if field == "ephemeralContainers":
        return "ephemeral"
    return "sidecar" if body.get("restartPolicy") == "Always" else "init"


def is_extended(name: str) -> bool:
    """Whether a resource name is one of a device plugin: qualified by a domain other than kubernetes.io."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def objects(token: str, properties: Mapping[str, object]) -> Iterator[KubernetesObject]:
    """The Kubernetes objects of a resource; none for a resource of another provider."""
    parts = token.split(":")
    if len(parts) != 3 or parts[0] != "kubernetes" or not isinstance(properties, Mapping):
        return
    group = parts[1].rpartition("/")[0]
    group = "" if group == "core" else group
    kind = parts[2]
    if kind.endswith("List") and isinstance(properties.get("items"), list | tuple):
        for index, item in elements(properties.get("items")):
            if isinstance(item, Mapping):
                yield _list_item(group, kind.removesuffix("List"), index, item)
        return
    partial = kind.endswith("Patch") and kind != "Patch"
    yield KubernetesObject(group, kind.removesuffix("Patch") if partial else kind, "", properties, partial)


def _list_item(group: str, kind: str, index: int, item: Mapping[str, object]) -> KubernetesObject:
    """An item states its own type in a `List`, and may leave it out in a `DeploymentList`."""
    own_kind, version = item.get("kind"), item.get("apiVersion")
    if not kind and isinstance(version, str):
        group = version.rpartition("/")[0]
    if not kind and isinstance(own_kind, str):
        kind = own_kind
    return KubernetesObject(group, kind, f"items[{index}]", item, partial=False)


def pods_of(owner: KubernetesObject) -> Iterator[Pod]:
    """Every pod and pod template in an object."""
    keys = _POD_PATHS.get(owner.kind) if owner.builtin else None
    if keys is None:
        # A chart's values have no shape yet; what it renders are resources of their own.
        if owner.group != "helm.sh" and owner.kind not in _DESCRIBING:
            yield from _custom_pods(owner)
        return
    holder = child(owner.body, *keys)
    spec = child(holder, "spec")
    if isinstance(spec, Mapping) and not (owner.partial and not any(name in spec for name in _POD_FIELDS)):
        yield Pod(owner, owner.at(*keys, "spec"), spec, child(holder, "metadata"))


def pod_specifications(owner: KubernetesObject) -> Iterator[tuple[str, object]]:
    """What stands where a pod's specification belongs in a kind that has one, with its path."""
    keys = _POD_PATHS.get(owner.kind) if owner.builtin else None
    if keys is not None:
        yield f"{owner} {owner.at(*keys, 'spec')}", child(owner.body, *keys, "spec")
    elif operators.is_known(owner.group, owner.kind):
        yield f"{owner} {owner.at('spec')}", child(owner.body, "spec")


_DESCRIBING: Final = frozenset({"CustomResourceDefinition", "PodSecurityPolicy"})
"""Kinds with fields of pods that say what pods may be."""
_KYVERNO: Final = "kyverno.io"
_PATTERNS: Final = frozenset({"pattern", "anyPattern", "patchStrategicMerge"})
"""Where a policy of Kyverno describes pods, in part; what it generates are objects."""
_POD_ONLY_FIELDS: Final = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")
"""What nothing but the specification of a pod has."""


def _custom_pods(owner: KubernetesObject) -> Iterator[Pod]:
    known = None if owner.partial else operators.templates(owner.group, owner.kind, owner.body)
    if known is None:
        yield from _search(owner, owner.body, owner.path, 0)
        return
    for template in known:
        yield Pod(owner, owner.at(*template.keys), template.spec, template.metadata)


_POD_FIELDS: Final = (*CONTAINER_LISTS, "volumes", "securityContext", "hostNetwork", "hostPID", "hostIPC")
"""A patch that states none of these leaves the pods as they are."""


def _search(owner: KubernetesObject, value: object, path: str, depth: int) -> Iterator[Pod]:
    """Pod specs anywhere in a custom resource: objects with a list of containers, or a KServe model."""
    if depth > _MAX_DEPTH:
        return
    for index, item in elements(value):
        yield from _search(owner, item, f"{path}[{index}]", depth + 1)
    if not isinstance(value, Mapping):
        return
    for key, item in entries(value):
        if not isinstance(item, Mapping | list | tuple):
            continue  # most of an object, and nothing below it
        below = f"{path}.{safe_key(key)}".lstrip(".")
        if owner.group == _KYVERNO and key in _PATTERNS:
            continue
        if isinstance(item, Mapping) and owner.group == _KSERVE and isinstance(item.get("model"), Mapping):
            # The model server is a container that KServe completes with an image of its own.
            main = [one for _, one in elements(item.get("containers"))]
            yield Pod(owner, below, {**item, "containers": [*main, item["model"]]}, item)
        elif isinstance(item, Mapping) and any(
            isinstance(item.get(name), list | tuple) for name in CONTAINER_LISTS
        ):
            yield Pod(owner, below, item, value.get("metadata"))
        elif key == "spec" and isinstance(item, Mapping) and any(name in item for name in _POD_ONLY_FIELDS):
            # A template that names no container: its controller has them, and this applies to all.
            yield Pod(replace(owner, partial=True), below, item, value.get("metadata"))
        else:
            yield from _search(owner, item, below, depth + 1)


def malformed_pods(
    token: str, properties: Mapping[str, object], found_in: Iterable[KubernetesObject]
) -> list[str]:
    """Lists and pods of built-in kinds whose structure hides something from the rules."""
    found: list[str] = []
    kind = token.rpartition(":")[2]
    items = properties.get("items")
    if kind.removesuffix("List") in ("", *_POD_PATHS) and kind.endswith("List") and items is not UNKNOWN:
        if not isinstance(items, list | tuple):
            found.append(f"{kind} items: is not a list")
        found += [
            f"{kind} items[{index}]: is not an object"
            for index, item in elements(items)
            if not isinstance(item, Mapping) and item is not UNKNOWN
        ]
    for owner in found_in:
        keys = _POD_PATHS.get(owner.kind) if owner.builtin else None
        if keys is None:
            continue
        spec = child(owner.body, *keys, "spec")
        path = f"{owner} {owner.at(*keys, 'spec')}"
        if spec is UNKNOWN or (spec is None and owner.partial):
            continue
        if not isinstance(spec, Mapping):
            found.append(f"{path}: is not an object")
            continue
        if not spec.get("containers") and not owner.partial:
            found.append(f"{path}.containers: is missing or empty")
        for name in (*CONTAINER_LISTS, "volumes"):
            value = spec.get(name)
            if value is None or value is UNKNOWN:
                continue
            if not isinstance(value, list | tuple):
                found.append(f"{path}.{name}: is not a list")
            found += [
                f"{path}.{name}[{index}]: is not an object"
                for index, item in elements(value)
                if not isinstance(item, Mapping) and item is not UNKNOWN
            ]
    return found


def selects_everything(selector: object) -> bool:
    """Whether a label selector that is given selects every object; False if that is not known.

    Expressions that only exclude select everything else, objects of tomorrow included, and every namespace
    has the label kubernetes.io/metadata.name.
    """
    if not isinstance(selector, Mapping):
        return False
    labels, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    if labels is UNKNOWN or expressions is UNKNOWN or (isinstance(labels, Mapping) and labels):
        return False
    for _, expression in elements(expressions):
        operator = child(expression, "operator")
        if operator is UNKNOWN or operator == "In":
            return False
        if operator == "Exists" and child(expression, "key") != "kubernetes.io/metadata.name":
            return False
    return True


def is_positive(value: object) -> bool:
    """Whether a value is a quantity above zero; zero means unlimited in a limit."""
    amount = quantity(value)
    return amount is not None and amount > 0
