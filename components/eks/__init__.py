"""A platform on Amazon EKS: network, keys, cluster, node pools, identities, shared storage."""
