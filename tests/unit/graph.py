"""The registered graph of a program, recorded without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from google.protobuf import json_format  # type: ignore[import-untyped]
from pulumi.runtime.mocks import MockMonitor

CLUSTER_IP = "10.96.0.10"


@dataclass(frozen=True)
class Registration:
    """One resource as the program registered it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    depends_on: tuple[str, ...]
    protect: bool
    retain_on_delete: bool
    timeouts: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Kubernetes kind, or the last part of a component's token."""
        return self.type.rsplit(":", 1)[1]

    @property
    def document(self) -> dict[str, Any]:
        """The inputs as Kubernetes has them: protobuf has no integers, Kubernetes little else."""
        return {key: _whole(value) for key, value in self.inputs.items()}

    def snapshot(self) -> dict[str, Any]:
        """What a reader of the snapshot should see; the rest is Pulumi's."""
        options = {
            "parent": self.parent,
            "dependsOn": sorted(self.depends_on),
            "protect": self.protect,
            "retainOnDelete": self.retain_on_delete,
            "timeouts": dict(self.timeouts),
        }
        return {
            "inputs": dict(self.inputs),
            "options": {key: value for key, value in options.items() if value},
        }


def objects(graph: list[Registration]) -> list[Registration]:
    """Those of the cluster."""
    return [item for item in graph if item.type.startswith("kubernetes:")]


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Mocks(pulumi.runtime.Mocks):
    def __init__(self, *, configured: bool) -> None:
        self._configured = configured

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if not self._configured:
            # What the engine answers for a provider whose configuration is still unknown.
            return None, {}
        outputs = dict(args.inputs)
        if args.typ == "kubernetes:core/v1:Service":
            outputs["spec"] = {**args.inputs["spec"], "clusterIP": CLUSTER_IP}
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"{args.token}: a preview must need no invokes")


class _Recorder(MockMonitor):
    def __init__(self, mocks: _Mocks) -> None:
        super().__init__(mocks)
        self.requests: list[Any] = []

    def RegisterResource(self, request: Any) -> Any:
        self.requests.append(request)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def _tail(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _registration(request: Any) -> Registration:
    timeouts = request.customTimeouts
    given = {key: getattr(timeouts, key) for key in ("create", "update", "delete") if getattr(timeouts, key)}
    return Registration(
        type=request.type,
        name=request.name,
        inputs=json_format.MessageToDict(request.object),
        parent=_tail(request.parent),
        provider=request.provider,
        depends_on=tuple(_tail(urn) for urn in request.dependencies),
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        timeouts=given,
    )


def record(
    program: Callable[[], Any], *, preview: bool = False, configured: bool = True
) -> tuple[list[Registration], Any]:
    """Registrations of `program`, complete (all of them have been answered), and its resolved result.

    Of a provider that is not `configured` yet all outputs are unknown.
    """
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks = _Mocks(configured=configured)
    recorder = _Recorder(mocks)
    pulumi.runtime.set_mocks(
        mocks, project="autoglm-platform", stack="test", preview=preview, monitor=recorder
    )
    result: list[Any] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> pulumi.Output[Any]:
        return pulumi.Output.from_input(program()).apply(result.append)

    run()
    registrations = [
        _registration(request) for request in recorder.requests if request.type != "pulumi:pulumi:Stack"
    ]
    return sorted(registrations, key=lambda item: (item.type, item.name)), result[0] if result else None
