"""Plain WSGI behind the gateway: `gunicorn --threads 16 wsgi_app:application`."""

from html import escape

from gateway import Gateway


def app(environ, start_response):
    """Answer by path; config.yaml decides who gets to /admin/users."""
    user = environ["gateway.session"]
    status, page = "200 OK", "The users"
    match environ["PATH_INFO"]:
        case "/":
            name = user.claims.get("name", user.subject)
            page = f'Hello {escape(name)}. <a href="/oauth2/sign_out">Sign out</a>'
        case "/public":
            page = "Hello whoever you are" if user is None else f"Welcome back {escape(user.subject)}"
        case "/reports" if "staff" in user.claims.get("groups", []):
            page = "The reports"
        case "/reports":
            status, page = "403 Forbidden", "For staff alone"
    start_response(status, [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


application = Gateway.from_config("config.yaml")(app)
