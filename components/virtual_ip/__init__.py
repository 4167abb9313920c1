"""A virtual IP address: keepalived and haproxy on the entry nodes."""
