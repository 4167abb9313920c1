"""Who can reach whom in a cluster, from its NetworkPolicies: a pure analyser with Kubernetes' semantics.

It reads Kubernetes objects as plain mappings, wherever they come from: a program's registrations, an engine's
event log, or `kubectl get -o json`.
"""
