"""Google Kubernetes Engine: network, keys, private cluster, node pools and what runs on every cluster."""
