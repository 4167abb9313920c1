"""An inference engine that serves one model through an OpenAI-compatible API."""
