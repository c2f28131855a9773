"""Requests a second, latencies and memory of the gateway, beside those of its peers, on one core each."""
