"""Inputs of registered resources against the types that the providers' SDKs declare.

Neither mocks nor the plan-only plugin know a provider's schema: a property that does not exist, or a list
where the provider wants one value, would be found by the first real update only. Python SDKs are generated
from that schema, so their classes say what a provider takes.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import re
import types
import typing
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import pulumi
from pulumi import _types
from pulumi.runtime import rpc

from tests.unit.graph import Registration

_SIGNATURE: Final = rpc._special_sig_key
_WRAPPERS: Final = frozenset({rpc._special_secret_sig, rpc._special_output_value_sig})
_ASSETS: Final = frozenset({rpc._special_asset_sig, rpc._special_archive_sig})
_SDKS: Final = {
    "aws": "pulumi_aws",
    "docker": "pulumi_docker",
    "gcp": "pulumi_gcp",
    "kubernetes": "pulumi_kubernetes",
}

# The SDK writes `Output[T]` as text and leaves its T open; it does not matter here what an output holds.
_FORWARD: Final = {"Output": pulumi.Output, "T": type(None)}


@dataclass(frozen=True)
class Finding:
    """An input that the provider would not take."""

    resource: str
    """Type token and name."""
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.path}: {self.message}"


@dataclass(frozen=True)
class Leaf:
    """A text among the inputs, and what the SDK says of it."""

    type: str
    """Type token of the resource."""
    resource: str
    path: str
    """Property path without list positions: `taints[].effect`."""
    value: str
    documentation: str


def findings(registration: Registration) -> list[Finding]:
    """What is wrong with the inputs of one resource; nothing for components and custom resources."""
    return _read(registration).findings


def leaves(registration: Registration) -> list[Leaf]:
    """All texts among the inputs of one resource whose type the SDK declares, known ones only."""
    return _read(registration).leaves


class UnknownTypeError(Exception):
    """A type token that no installed SDK has."""


def resource_class(token: str) -> type[pulumi.Resource]:
    """The SDK's class of a type token; raises UnknownTypeError."""
    package, module, name = token.split(":", 2)
    if token.startswith("pulumi:providers:"):
        sdk = importlib.import_module(_SDKS[name])
        return typing.cast(type[pulumi.Resource], sdk.Provider)
    if package in _SDKS:
        importlib.import_module(_SDKS[package])  # registers its modules
    for registered in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):
        info: Mapping[str, Any] = registered.mod_info  # type: ignore[attr-defined]
        if token in info["classes"]:
            found = getattr(importlib.import_module(info["fqn"]), info["classes"][token])
            return typing.cast(type[pulumi.Resource], found)
    raise UnknownTypeError(token)


def is_custom_resource(token: str) -> bool:
    """Whether a type is of an API group that the SDK of Kubernetes does not know: a definition decides."""
    package, module, _ = token.split(":", 2)
    if package != "kubernetes":
        return False
    importlib.import_module(_SDKS[package])
    return not any(known.startswith(f"kubernetes:{module.split('/')[0]}/") for known in rpc._RESOURCE_MODULES)


@functools.cache
def arguments_class(resource: type[pulumi.Resource]) -> type:
    """The input type of a resource class: `NodeGroupArgs` of `NodeGroup`."""
    for overload in typing.get_overloads(resource.__init__):
        if "args" in inspect.signature(overload).parameters:
            (arguments,) = _alternatives(typing.get_type_hints(overload, localns=_FORWARD)["args"])
            return typing.cast(type, arguments)
    raise UnknownTypeError(f"{resource.__name__}: its constructor declares no input type")


@dataclass(frozen=True)
class _Property:
    annotation: Any
    required: bool
    documentation: str
    deprecated: str | None


@functools.cache
def _properties(arguments: type) -> Mapping[str, _Property]:
    """The properties of an input type by their name on the wire."""
    scope = _types._globals_for_cls(arguments)
    # Only what has no default must be given.
    parameters = inspect.signature(arguments.__init__).parameters  # type: ignore[misc]
    properties = {}
    for python_name, name, declared in _types._py_properties(arguments):
        getter: Any = declared.fget
        hints = typing.get_type_hints(getter, globalns=scope, localns=_FORWARD)
        parameter = parameters.get(python_name)
        properties[name] = _Property(
            annotation=hints["return"],
            required=parameter is not None and parameter.default is inspect.Parameter.empty,
            documentation=getter.__doc__ or "",
            deprecated=_deprecation(getter),
        )
    return properties


def declared(arguments: type, path: str) -> bool:
    """Whether an input type has a property at a path such as `taints[].effect`."""
    first, _, rest = path.partition(".")
    found = _properties(arguments).get(first.removesuffix("[]"))
    if found is None:
        return False
    kinds = list(_alternatives(found.annotation))
    if first.endswith("[]"):
        kinds = [one for kind in kinds for one in _alternatives((typing.get_args(kind) or (None,))[0])]
    inputs = [kind for kind in kinds if inspect.isclass(kind) and _types.is_input_type(kind)]
    return any(declared(kind, rest) for kind in inputs) if rest else str in kinds or bool(inputs)


def _deprecation(getter: Any) -> str | None:
    if not hasattr(getter, _types._PULUMI_DEPRECATED_CALLABLE):
        return None
    cells = getter.__closure__ or ()
    messages = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, str)]
    return messages[0] if messages else "deprecated"


def _is_another_form(annotation: Any, origin: Any) -> bool:
    """Whether a member of a union is but another way to write the value, or to have none."""
    if origin in (Awaitable, pulumi.Output) or annotation is type(None):
        return True
    return inspect.isclass(annotation) and (
        typing.is_typeddict(annotation) or _types.is_output_type(annotation)
    )


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, once it is known."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _alternatives(member)
    elif not _is_another_form(annotation, origin):
        yield annotation


@functools.lru_cache(maxsize=4096)
def _read_cached(token: str, name: str, inputs: str) -> _Reader:
    reader = _Reader(token, name)
    reader.resource(json.loads(inputs))
    return reader


def _read(registration: Registration) -> _Reader:
    if registration.type.startswith("autoglm:") or is_custom_resource(registration.type):
        return _Reader(registration.type, registration.name)
    return _read_cached(registration.type, registration.name, json.dumps(registration.inputs, sort_keys=True))


class _Reader:
    """Walks the inputs of one resource along the declared types."""

    def __init__(self, token: str, name: str) -> None:
        self.findings: list[Finding] = []
        self.leaves: list[Leaf] = []
        self._token = token
        self._resource = f"{token} {name}"

    def resource(self, inputs: Mapping[str, Any]) -> None:
        try:
            arguments = arguments_class(resource_class(self._token))
        except UnknownTypeError as error:
            self._report("", f"no installed SDK has this type ({error})")
            return
        if self._token.startswith("pulumi:providers:"):
            inputs = {key: self._configuration(arguments, key, value) for key, value in inputs.items()}
        self._object(arguments, inputs, "")

    def _configuration(self, arguments: type, key: str, value: Any) -> Any:
        """A provider's configuration travels as text: JSON for everything but text itself."""
        declared = _properties(arguments).get(key)
        if declared is None or not isinstance(value, str) or value == rpc.UNKNOWN:
            return value
        if any(one is str for one in _alternatives(declared.annotation)):
            return value
        try:
            return json.loads(value)
        except ValueError:
            return value

    def _report(self, path: str, message: str) -> None:
        self.findings.append(Finding(self._resource, path, message))

    def _object(self, arguments: type, value: Mapping[str, Any], path: str) -> None:
        declared = _properties(arguments)
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            if key not in declared:
                close = _closest(key, declared)
                self._report(where, f"no such property of {arguments.__name__}{close}")
                continue
            if inner is None:
                continue
            if (message := declared[key].deprecated) is not None:
                self._report(where, message)
            self._value(declared[key].annotation, inner, where, declared[key].documentation)
        for key, one in declared.items():
            if one.required and value.get(key) is None:
                self._report(f"{path}.{key}" if path else key, f"required by {arguments.__name__}, missing")

    def _value(self, annotation: Any, value: Any, path: str, documentation: str) -> None:
        value, known = _plain(value)
        if not known:
            return
        kinds = list(_alternatives(annotation))
        if Any in kinds:
            return
        fitting = [kind for kind in kinds if _fits(kind, value)]
        if not fitting:
            wanted = " or ".join(_name(kind) for kind in kinds)
            # Never the value itself: it may be a secret.
            self._report(path, f"{_shape(value)}, wants {wanted}")
            return
        kind = fitting[0]
        if _types.is_input_type(kind) if inspect.isclass(kind) else False:
            self._object(kind, value, path)
        elif isinstance(value, str):
            self.leaves.append(
                Leaf(self._token, self._resource, re.sub(r"\[[^\]]*\]", "[]", path), value, documentation)
            )
        elif isinstance(value, list):
            (element,) = typing.get_args(kind) or (Any,)
            for index, inner in enumerate(value):
                self._value(element, inner, f"{path}[{index}]", documentation)
        elif isinstance(value, dict):
            element = (typing.get_args(kind) or (str, Any))[1]
            for key, inner in value.items():
                self._value(element, inner, f"{path}[{key!r}]", "")


def _plain(value: Any) -> tuple[Any, bool]:
    """A value without the wrappers of secrets and outputs, and whether it is known."""
    while isinstance(value, dict) and value.get(_SIGNATURE) in _WRAPPERS:
        if "value" not in value:
            return None, False
        value = value["value"]
    return value, value != rpc.UNKNOWN


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value has the outer shape of a declared type."""
    origin = typing.get_origin(kind)
    if kind is dict or kind is Any:
        return isinstance(value, dict)
    if origin is typing.Literal:
        return value in typing.get_args(kind)
    if origin is not None:
        if issubclass(origin, Mapping):
            return isinstance(value, dict) and _SIGNATURE not in value
        return isinstance(value, list)
    if not inspect.isclass(kind):
        return False
    if issubclass(kind, Enum):
        return any(value == member.value for member in kind)
    if isinstance(value, bool):
        return kind is bool
    if kind is int:
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if kind is float:
        return isinstance(value, int | float)
    if kind is str:
        return isinstance(value, str)
    if issubclass(kind, pulumi.Asset | pulumi.Archive):
        return isinstance(value, dict) and value.get(_SIGNATURE) in _ASSETS
    return _types.is_input_type(kind) and isinstance(value, dict) and _SIGNATURE not in value


def _shape(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a whole number" if float(value).is_integer() else "a fraction"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def _name(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if origin is not None:
        inner = typing.get_args(kind)[-1]
        members = " or ".join(dict.fromkeys(_name(one) for one in _alternatives(inner)))
        return f"a map of {members}" if issubclass(origin, Mapping) else f"a list of {members}"
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    plain = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return plain.get(kind) or str(getattr(kind, "__name__", kind))


def _closest(key: str, known: Mapping[str, Any]) -> str:
    """The property that somebody who wrote `min_size` or `minsize` meant."""
    folded = {name.lower(): name for name in known}
    meant = folded.get(key.replace("_", "").lower())
    return f"; {meant}?" if meant else ""
