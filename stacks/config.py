"""Raw settings from Pulumi's stack configuration."""

from __future__ import annotations

import json
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from stacks.problems import Problem, SettingsError


def raw_settings(file: str) -> dict[str, Any]:
    """Sections under the project's namespace, structured ones parsed. Raises SettingsError on secrets."""
    prefix = f"{pulumi.get_project()}:"
    values = {**get_config_env(), **CONFIG.get()}
    sections = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    secret = [section for section in sections if is_config_secret(prefix + section)]
    if secret:
        # Once read as settings a secret would travel on as plain text, into state and logs.
        fix = "settings hold no secrets: put it into a Secret in the cluster and name that"
        raise SettingsError(file, [Problem(section, f"contains a secret; {fix}") for section in secret])
    return {section: _parsed(value) for section, value in sections.items()}


def _parsed(value: Any) -> Any:
    """Pulumi hands over structured values as JSON and everything else as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
