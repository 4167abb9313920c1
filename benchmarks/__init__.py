"""Measurements on the real thing; each prints a ratio against a reference taken in the same run."""
