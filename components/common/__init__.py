"""What every component shares: names, labels, quantities, pod hardening."""
