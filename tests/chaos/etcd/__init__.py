"""Faults F21 to F31, injected into real etcd processes in network namespaces of the tests' own."""
