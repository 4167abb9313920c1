"""Buckets for published models and the audit trail: versioned, encrypted with their own keys, private."""
