"""The fuzz run: honest values, changed; nothing but a `GatewayError` may come of it, and no session."""
