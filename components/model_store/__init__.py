"""Storage of one model's weights: fetched by a Job, verified against pinned checksums, published atomically."""
