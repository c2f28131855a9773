"""The cachelib caches that hold sessions, each with a claim and a lock of its own kind."""
