"""`Pulumi.<stack>.yaml` as it lies in the checkout, for those who read it without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from stacks.problems import Problem, SettingsError
from stacks.schema import PROJECT

_PREFIX: Final = f"{PROJECT}:"
"""Keys of other namespaces, such as a provider's, are no settings of ours."""


def stack_sections(stack: str, root: Path) -> dict[str, Any]:
    """Sections of a stack's settings.

    :raises FileNotFoundError: the stack has no file.
    :raises SettingsError: the file is not one that Pulumi could read.
    """
    file = root / f"Pulumi.{stack}.yaml"
    return parse_sections(file.read_text(encoding="utf-8"), file.name)


def parse_sections(text: str, file: str) -> dict[str, Any]:
    """The same from the text of a file of that name; raises SettingsError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(file, [Problem("", f"is no YAML: {error}; mend it")]) from error
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise SettingsError(file, [Problem("config", "is missing, or holds no keys and values; add it")])
    return {key.removeprefix(_PREFIX): value for key, value in config.items() if str(key).startswith(_PREFIX)}
