"""The analyzer protocol's messages without the rest of the SDK.

Importing them runs `pulumi/__init__.py`, which takes longer than judging a stack: where nobody has imported
the SDK yet, as in the pack's own process, its packages are entered as folders and nothing of them is run but
the messages.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Final

_PACKAGES: Final = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def without_sdk() -> None:
    """Let `from pulumi.runtime.proto import …` run the modules that it names only."""
    if "pulumi" in sys.modules:
        return
    found = importlib.util.find_spec("pulumi")
    locations = found.submodule_search_locations if found else None
    if not locations:
        return  # the import that follows says what is missing
    for name in _PACKAGES:
        package = ModuleType(name)
        package.__path__ = ["/".join([locations[0], *name.split(".")[1:]])]
        sys.modules[name] = package
