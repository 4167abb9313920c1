"""Dashboards of a stack, one module each."""
