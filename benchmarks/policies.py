"""How the policy pack grows: 5,000 resources in one `pulumi policy analyze`, against 1,000.

    python -m benchmarks.policies [--rounds 3]

Printed are, for both in turn, the seconds that pass and the processor time of all processes (engine, language
host, pack), and their ratios, which are below 5 if the pack is linear: what does not depend on the number is
in both. Then the processor time that a resource takes in the pack, against what the SDK's own `PolicyPack`
takes only to decode the same resource once for each rule.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import unknown_checking_proxy

from benchmarks.usage import processor_seconds
from policies import decoding, server
from policies.catalogue import RULES, STACK_RULES
from tests.policies import engine
from tests.policies.cloud_cases import GOOD_CLOUD_STACK
from tests.policies.examples import GOOD, Resource

FEW, MANY = 1000, 5000
EXAMPLES: list[tuple[str, Resource]] = list({**GOOD, **GOOD_CLOUD_STACK}.items())
_PROVIDER = {
    "urn": "urn:pulumi:dev::benchmark::pulumi:providers:kubernetes::cluster",
    "custom": True,
    "id": "00000000-0000-4000-8000-000000000000",
    "type": "pulumi:providers:kubernetes",
    "inputs": {},
    "outputs": {},
}


def recorded(index: int) -> dict[str, Any]:
    """A resource of a state file, one of the good examples in turn."""
    name, (token, properties) = EXAMPLES[index % len(EXAMPLES)]
    return {
        "urn": f"urn:pulumi:dev::benchmark::{token}::{name}-{index}",
        "custom": True,
        "protect": True,
        "id": f"{name}-{index}",
        "type": token,
        "inputs": properties,
        "outputs": properties,
        "provider": f"{_PROVIDER['urn']}::{_PROVIDER['id']}",
    }


def seconds(count: int) -> tuple[float, float]:
    """One run over `count` resources: seconds, and processor time of all processes."""
    resources = [_PROVIDER, *map(recorded, range(count))]
    with tempfile.TemporaryDirectory() as folder:
        started, before = time.monotonic(), processor_seconds()
        done = engine.analyze_run(resources, Path(folder))
        elapsed, processor = time.monotonic() - started, processor_seconds() - before
    if "autoglm-platform" not in done.stdout + done.stderr and done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return elapsed, processor


def processor_milliseconds(rounds: int) -> tuple[float, float]:
    """Of a resource: all rules of the pack, and the SDK's decoding of it for as many rules."""
    requests: list[tuple[str, Struct]] = []
    for _, (token, properties) in EXAMPLES:
        struct = Struct()
        struct.update(properties)
        requests.append((token, struct))
    pack = server.Pack(RULES, STACK_RULES)
    started = time.process_time()
    for index in range(rounds):
        for token, struct in requests:
            pack.judge(pack.resource(token, decoding.properties(struct), f"{token}-{index}", True))
    ours = time.process_time() - started
    started = time.process_time()
    for _, struct in requests:
        for _ in RULES:
            unknown_checking_proxy(deserialize_properties(json_format.MessageToDict(struct)))
    sdk = (time.process_time() - started) * rounds
    return 1000 * ours / (rounds * len(requests)), 1000 * sdk / (rounds * len(requests))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    few, many = zip(*((seconds(FEW), seconds(MANY)) for _ in range(rounds)), strict=True)
    print(f"pulumi policy analyze, {len(RULES)} + {len(STACK_RULES)} rules, medians of {rounds}:")
    for index, unit in enumerate(("s", "s of processor time")):
        of_few, of_many = (statistics.median(one[index] for one in runs) for runs in (few, many))
        print(f"  {FEW} resources {of_few:.2f} {unit}, {MANY} {of_many:.2f} {unit}: {of_many / of_few:.2f} ×")
    ours, sdk = processor_milliseconds(10)
    print(f"  processor time of a resource {ours:.2f} ms, the SDK's decoding {sdk:.2f} ms: {ours / sdk:.3f}")


if __name__ == "__main__":
    main()
