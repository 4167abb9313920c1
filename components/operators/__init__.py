"""Operators that custom resources of a stack need: cert-manager, prometheus-operator, ECK."""
