"""An OpenID Connect gateway for WSGI: in front of an app, around an app, or beside nginx."""

from gateway.app import Gateway
from gateway.config_sources import ConfigurationError
from gateway.session import Session
from gateway.standalone import create_app

__all__ = ["ConfigurationError", "Gateway", "Session", "create_app"]
