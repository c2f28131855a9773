"""The developer's console: what a login asks and brings, for whoever sets up a provider."""
