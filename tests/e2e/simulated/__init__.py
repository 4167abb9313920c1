"""A cloud stack without its cloud: embedded API server and scheduler, nodes shaped like the stack's pools.

`Pulumi.yaml` and `__main__.py` are the program, `stack` runs the engine on it, `nodes` makes the nodes,
`cloud` does what only a cloud's controllers would, and `scheduler` asks the real scheduler about pods.
"""
