"""Passes Alertmanager's messages on to robots of DingTalk groups, which want them signed."""
