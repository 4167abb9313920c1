"""Audit records: collected, sealed day by day, verified."""
