"""Weekly report on a stack's models, made from Prometheus: HTML, Markdown and a summary for the chat."""
