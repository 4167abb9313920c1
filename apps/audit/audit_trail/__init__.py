"""Audit records: collected from logs, sealed day by day, verified, published.

`python -m audit_trail <command>`: collect, seal, verify, anomalies, publish, keygen, schema. `verify` ends
with status 0 if the trail is whole, with 1 if it has been altered; every command ends with 2 and one line,
`audit-trail: refused: <subject>: <reason and fix>`, if it cannot do its work.
"""
