"""The sample application with a gateway around it, as a user's own module would have it; the rest is environment."""

from gateway import Gateway

from .echo_app import app as inner

app = Gateway.from_config({"routes": [{"path": "/**", "token": "access_token", "identity_headers": True}]})(inner)
