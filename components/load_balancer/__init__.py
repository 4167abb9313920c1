"""The way in from outside the cluster: a network load balancer, internal unless the settings say otherwise."""
