"""Tells Elasticsearch and Kibana how logs are kept and looked at: policies, templates, saved views."""
