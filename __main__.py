"""The program: settings of the current stack become its platform."""

import asyncio
import gc

import pulumi

# The clouds' SDKs are many objects that stay: looking through them for garbage takes a tenth of a preview.
gc.set_threshold(100_000)

from stacks.platform import build_stack  # noqa: E402


async def platform() -> pulumi.Inputs:
    """Outputs of the stack.

    Registrations begin with the pause. The SDK then waits for each in turn; otherwise it watches all that is
    open at once, again for every one that comes in, which takes a quarter of a preview.
    """
    outputs = build_stack().outputs
    await asyncio.sleep(0)
    return outputs


pulumi.run(platform)
