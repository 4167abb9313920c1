"""Print the installed distributions, with the pulumi-plugin.json of those that have one, as JSON."""

import importlib.metadata
import json
import pathlib
import re
from typing import Any

# In a distribution's list of files. To turn every line of every list into a path takes longer than all else.
PLUGIN_FILE = re.compile(r"^[^/\n]+/pulumi-plugin\.json(?=,)", re.MULTILINE)


def plugin_file(distribution: importlib.metadata.Distribution) -> dict[str, Any] | None:
    """What a provider's package says about its plugin."""
    file = PLUGIN_FILE.search(distribution.read_text("RECORD") or "")
    if file is None:
        return None
    path = pathlib.Path(str(distribution.locate_file(file[0])))
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content.get("resource"):
        name = distribution.metadata["Name"]
        content.setdefault("name", name.removeprefix("pulumi-").removeprefix("pulumi_"))
        content["version"] = content.get("version", distribution.version).removeprefix("v")
    return content


packages = [
    {"name": one.metadata["Name"], "version": one.version, "plugin": plugin_file(one)}
    for one in importlib.metadata.distributions()
]
print(json.dumps(sorted(packages, key=lambda package: str(package["name"]))))
