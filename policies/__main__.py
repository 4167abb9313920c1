"""Serves the policy pack, nothing else: this blocks until the engine ends it."""

import gc
import sys
from datetime import UTC, datetime
from pathlib import Path

# Nearly all that is made here stays: looking through it for garbage finds little and takes long.
gc.set_threshold(100_000)

# The engine runs this folder as a script; the modules beside it import each other as `policies`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from policies import protocol  # noqa: E402

protocol.without_sdk()

from policies import catalogue, levels, server  # noqa: E402

try:
    levels.check(levels.files(), catalogue.ALL, datetime.now(UTC).date())
except levels.LevelsError as error:
    sys.exit(str(error))

# What is loaded stays: collections look at what comes later only.
gc.freeze()
server.serve(server.Pack(catalogue.RULES, catalogue.STACK_RULES))
