"""Storage of a model's weights: fetched by a Job, verified against pinned checksums, then published."""
