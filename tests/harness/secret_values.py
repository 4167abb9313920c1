"""Values that Pulumi marks as secret, as its states and its mocks write them."""

from __future__ import annotations

import json
from typing import Any

_MARK = "4dabf18193072939515e22adb298388d"
"""Key of every marked value (sdk/go/common/resource/sig in pulumi/pulumi)."""


def revealed(value: Any) -> Any:
    """The value without marks; a cipher stays what it is."""
    if isinstance(value, dict):
        if _MARK in value and "plaintext" in value:
            return revealed(json.loads(value["plaintext"]))
        if _MARK in value and "value" in value:
            return revealed(value["value"])
        return {key: revealed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [revealed(inner) for inner in value]
    return value
