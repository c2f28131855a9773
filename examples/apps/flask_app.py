"""Flask behind the gateway: `gunicorn --threads 16 flask_app:app`."""

from functools import wraps

from flask import Flask, abort, g, render_template_string, request

from gateway import Gateway

app = Flask(__name__)


@app.before_request
def find_user():
    """Put who is signed in where views and templates look for it."""
    g.user = request.environ["gateway.session"]


def in_group(name):
    """Let only members of a group see a view."""

    def restrict(view):
        @wraps(view)
        def restricted(*args, **kwargs):
            if g.user is None or name not in g.user.claims.get("groups", []):
                abort(403)
            return view(*args, **kwargs)

        return restricted

    return restrict


@app.get("/")
def home():
    """Greet the user."""
    page = 'Hello {{ g.user.claims.get("name", g.user.subject) }}. <a href="/oauth2/sign_out">Sign out</a>'
    return render_template_string(page)


@app.get("/public")
def public():
    """Show a page to anyone."""
    return "Hello whoever you are" if g.user is None else f"Welcome back {g.user.subject}"


@app.get("/reports")
@in_group("staff")
def reports():
    """Show a page to staff, as the view itself decides."""
    return "The reports"


@app.get("/admin/users")
def users():
    """Show a page to administrators, as config.yaml decides."""
    return "The users"


app.wsgi_app = Gateway.from_config("config.yaml")(app.wsgi_app)
