"""Print the installed distributions, with the pulumi-plugin.json of those that have one, as JSON."""

import importlib.metadata
import json
import pathlib
from typing import Any


def plugin_file(distribution: importlib.metadata.Distribution) -> dict[str, Any] | None:
    """What a provider's package says about its plugin."""
    for file in distribution.files or ():
        if file.name == "pulumi-plugin.json" and len(file.parts) == 2:
            content: dict[str, Any] = json.loads(pathlib.Path(file.locate()).read_text(encoding="utf-8"))
            if content.get("resource"):
                name = distribution.metadata["Name"]
                content.setdefault("name", name.removeprefix("pulumi-").removeprefix("pulumi_"))
                content["version"] = content.get("version", distribution.version).removeprefix("v")
            return content
    return None


packages = [
    {"name": one.metadata["Name"], "version": one.version, "plugin": plugin_file(one)}
    for one in importlib.metadata.distributions()
]
print(json.dumps(sorted(packages, key=lambda package: str(package["name"]))))
