"""Configurations of oauth2-proxy, turned into ours."""
