"""The way in from outside the cluster: a network load balancer, internal unless settings say otherwise."""
