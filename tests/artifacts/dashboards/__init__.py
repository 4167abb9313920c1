"""Dashboards with data in them: answers of a real Prometheus, and pictures drawn from those."""
