"""The event-loop face of the gateway: what can be decided at once is forwarded by the loop, the rest by threads."""
