"""The weekly report on the model service."""
