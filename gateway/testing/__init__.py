"""What tests of a protected app need: an OpenID provider and a browser, both in process and without a network."""

from gateway.testing.browser import Browser, NavigationFailed, Page
from gateway.testing.faults import Faults, refusing, refusing_login, with_altered_signature, without_signature
from gateway.testing.parties import FakeClient, User
from gateway.testing.provider import FakeProvider
from gateway.testing.sessions import make_session, session_environ, signed_in

__all__ = [
    "Browser",
    "FakeClient",
    "FakeProvider",
    "Faults",
    "NavigationFailed",
    "Page",
    "User",
    "make_session",
    "refusing",
    "refusing_login",
    "session_environ",
    "signed_in",
    "with_altered_signature",
    "without_signature",
]
