"""The program: settings of the current stack become its platform."""

import pulumi

from stacks.platform import build_stack

for name, value in build_stack().outputs.items():
    pulumi.export(name, value)
