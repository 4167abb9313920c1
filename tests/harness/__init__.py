"""How tests and benchmarks talk to the real thing: engine, cluster, API and the published model."""
