"""What a stack has to be observed with: metrics and alerts, dashboards, reports, logs and audit."""
