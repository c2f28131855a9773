"""The endpoints below `/oauth2`: parse, one verb of the authenticator, answer."""
