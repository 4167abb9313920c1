"""Buckets for published models and for the audit trail: versioned, encrypted with keys of their own, private."""
