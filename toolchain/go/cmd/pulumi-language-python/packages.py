"""Print the installed distributions, with the pulumi-plugin.json of those that have one, as JSON."""

import importlib.metadata
import json

packages = []
for distribution in importlib.metadata.distributions():
    name, version = distribution.metadata["Name"], distribution.version
    plugin = None
    for file in distribution.files or ():
        if file.name == "pulumi-plugin.json" and len(file.parts) == 2:
            plugin = json.loads(file.locate().read_text(encoding="utf-8"))
            if plugin.get("resource"):
                plugin.setdefault("name", name.removeprefix("pulumi-").removeprefix("pulumi_"))
                plugin["version"] = plugin.get("version", version).removeprefix("v")
    packages.append({"name": name, "version": version, "plugin": plugin})
packages.sort(key=lambda package: package["name"])
print(json.dumps(packages))
