"""Accelerators, the machine types that carry them, and what of a node the scheduler can give away."""
