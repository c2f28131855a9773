"""An OpenID Connect gateway for WSGI: in front of an app, around an app, or beside nginx."""
