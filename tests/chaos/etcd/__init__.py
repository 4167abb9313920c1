"""Faults F21 to F32, injected into real etcd processes in network namespaces of the tests' own."""
