"""Properties as the engine sends them, to plain values.

The SDK decodes a resource once for each rule, by way of JSON; with a hundred rules that takes longer than
the rules themselves. Here a resource is decoded once, unknown values become UNKNOWN wherever they are, and
secrets are unwrapped: rules have to judge them, and no message repeats free text.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.struct_pb2 import Struct, Value
from pulumi_policy import proxy

from policies.values import UNKNOWN

_UNKNOWN_VALUES: Final = frozenset(
    {
        proxy.UNKNOWN_ARCHIVE_VALUE,
        proxy.UNKNOWN_ARRAY_VALUE,
        proxy.UNKNOWN_ASSET_VALUE,
        proxy.UNKNOWN_BOOLEAN_VALUE,
        proxy.UNKNOWN_NUMBER_VALUE,
        proxy.UNKNOWN_OBJECT_VALUE,
        proxy.UNKNOWN_STRING_VALUE,
    }
)
# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/properties.go
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_MAX_DEPTH: Final = 256
"""Deeper values are cut off as unknown: Python would run out of stack."""


def properties(struct: Struct) -> dict[str, object]:
    """The properties of a resource."""
    return {key: _value(value, 0) for key, value in struct.fields.items()}


def _value(value: Value, depth: int) -> object:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in _UNKNOWN_VALUES else text
    if kind == "number_value":
        return value.number_value
    if kind == "bool_value":
        return value.bool_value
    if depth >= _MAX_DEPTH:
        return UNKNOWN
    if kind == "list_value":
        return [_value(item, depth + 1) for item in value.list_value.values]
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE in fields:
            return _special(fields[_SIGNATURE].string_value, value.struct_value, depth)
        return {key: _value(item, depth + 1) for key, item in fields.items()}
    return None


def _special(signature: str, struct: Struct, depth: int) -> object:
    """Secrets and outputs are what they hold; assets and resource references are opaque."""
    if signature in (_SECRET, _OUTPUT):
        return _value(struct.fields["value"], depth + 1) if "value" in struct.fields else UNKNOWN
    return {}
