"""Images of our own apps: built by Docker, pushed to a registry of our own, used by digest."""
