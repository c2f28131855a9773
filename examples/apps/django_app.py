"""Django behind the gateway, in one file: `gunicorn --threads 16 django_app:application`."""

from functools import wraps

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.utils.html import format_html

from gateway import Gateway

settings.configure(
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="put-it-into-the-environment-instead",
    MIDDLEWARE=[f"{__name__}.find_user", "django.middleware.csrf.CsrfViewMiddleware"],
)


def find_user(get_response):
    """Put who is signed in where views look for it."""

    def respond(request):
        request.session_of_user = request.META["gateway.session"]
        return get_response(request)

    return respond


def in_group(name):
    """Let only members of a group see a view."""

    def restrict(view):
        @wraps(view)
        def restricted(request, *args, **kwargs):
            user = request.session_of_user
            if user is None or name not in user.claims.get("groups", []):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return restricted

    return restrict


def home(request):
    """Greet the user."""
    user = request.session_of_user
    page = 'Hello {}. <a href="/oauth2/sign_out">Sign out</a>'
    return HttpResponse(format_html(page, user.claims.get("name", user.subject)))


def public(request):
    """Show a page to anyone."""
    user = request.session_of_user
    return HttpResponse("Hello whoever you are" if user is None else format_html("Welcome back {}", user.subject))


@in_group("staff")
def reports(request):
    """Show a page to staff, as the view itself decides."""
    return HttpResponse("The reports")


def users(request):
    """Show a page to administrators, as config.yaml decides."""
    return HttpResponse("The users")


urlpatterns = [path("", home), path("public", public), path("reports", reports), path("admin/users", users)]

application = Gateway.from_config("config.yaml")(get_wsgi_application())
