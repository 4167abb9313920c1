"""What prepares, maintains and uses an etcd cluster beside its members.

`python -m etcd_tools <command>`: bootstrap, snapshot, verify, restore, defragment, recover-space, status,
order, replace, registry. Each ends with status 0, or with 1 and one line, `etcd-tools: refused: <subject>:
<reason and fix>`.
"""
