"""Reusable Pulumi component resources, one folder per capability. They know nothing of stacks."""
