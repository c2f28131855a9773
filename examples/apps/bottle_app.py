"""Bottle behind the gateway: `gunicorn --threads 16 bottle_app:application`."""

from bottle import Bottle, abort, request, template

from gateway import Gateway

app = Bottle()


@app.get("/")
def home():
    """Greet the user."""
    user = request.environ["gateway.session"]
    page = 'Hello {{user.claims.get("name", user.subject)}}. <a href="/oauth2/sign_out">Sign out</a>'
    return template(page, user=user)


@app.get("/public")
def public():
    """Show a page to anyone."""
    user = request.environ["gateway.session"]
    return "Hello whoever you are" if user is None else f"Welcome back {user.subject}"


@app.get("/reports")
def reports():
    """Show a page to staff, as the view itself decides."""
    if "staff" not in request.environ["gateway.session"].claims.get("groups", []):
        abort(403)
    return "The reports"


@app.get("/admin/users")
def users():
    """Show a page to administrators, as config.yaml decides."""
    return "The users"


application = Gateway.from_config("config.yaml")(app)
