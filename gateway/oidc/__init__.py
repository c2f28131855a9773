"""The relying party's side of OpenID Connect as pure functions: build a call, check a reply; no I/O, no clock."""
