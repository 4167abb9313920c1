"""A namespace for one tenant: isolated by default, bounded by quota."""
