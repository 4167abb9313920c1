"""Properties as the engine sends them, to plain values.

The SDK decodes a resource once for each rule, by way of JSON; with a hundred rules that takes longer than
the rules themselves. Here a resource is decoded once, unknown values become UNKNOWN wherever they are, and
secrets are unwrapped: rules have to judge them, and no message repeats free text.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.struct_pb2 import Struct, Value

from policies.values import UNKNOWN

UNKNOWN_VALUES: Final = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # string
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)
"""What stands for a value that only an update will tell (pulumi_policy/proxy.py; importing it takes long)."""
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
        return UNKNOWN if text in UNKNOWN_VALUES else text
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
