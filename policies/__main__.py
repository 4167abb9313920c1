"""Assembles the policy pack, nothing else: constructing a PolicyPack starts a server and blocks."""

import sys
from pathlib import Path

# The engine runs this folder as a script; the modules beside it import each other as `policies`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pulumi_policy import EnforcementLevel, PolicyPack

from policies import catalogue, enforcement, sdk

try:
    enforcement.check(enforcement.level_files(), catalogue.IDS)
except enforcement.LevelsError as error:
    sys.exit(str(error))

PolicyPack(
    name="autoglm-platform",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=sdk.Pack(catalogue.RULES, catalogue.STACK_RULES).policies,
)
