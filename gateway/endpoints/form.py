"""A form that was sent when the session had ended: kept by the browser, sealed, and offered again after the login."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import FORM_SECONDS, KeptForm, deletion, find_form, keep_form, session_handles
from gateway.endpoints.request import Request
from gateway.oidc.messages import Entropy
from gateway.policy import is_same_origin
from gateway.request_context import Environ
from gateway.responses import Responses, with_cookies
from gateway.store import Clock

MAX_BODY = 2600
"""Octets: sealed, and with its address, it has to fit into one cookie."""

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormEndpoint:
    """Keeps a form, and offers it again."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    entropy: Entropy
    clock: Clock

    def keep(self, request: Request) -> Response | None:
        """Answer a form that met no session with a page, and have the browser keep it; None for all else.

        Only what a page of this very origin sent is kept: a form of another site's would be one that the user is then
        asked to send.
        """
        environ, target = request.environ, request.target
        if not _is_form(environ) or not is_same_origin(target, self.settings.public_url):
            return None
        body = _body(environ)
        if body is None:
            return None
        kept = KeptForm(target=target.raw, body=body, kept_at=int(self.clock()))
        cookie = keep_form(self.settings.cookies, kept, self.entropy)
        if cookie is None:
            return None
        sign_in = self.responses.start_url(f"{self.settings.prefix}/form")
        context, language = {"sign_in": sign_in}, request.accept_language
        return with_cookies(self.responses.page("form_kept", context, accept_language=language, status=401), [cookie])

    def again(self, request: Request) -> Response:
        """Offer the form that the browser keeps, once, to whoever is signed in."""
        if self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies)) is None:
            return self.responses.redirect(self.responses.start_url(request.target.path))
        kept = find_form(self.settings.cookies, request.cookies)
        if kept is None or not 0 <= self.clock() - kept.kept_at < FORM_SECONDS:
            return self.responses.redirect("/")
        fields = parse_qsl(kept.body, keep_blank_values=True)
        context = {"target": kept.target, "fields": fields}
        page = self.responses.page("form_again", context, accept_language=request.accept_language)
        return with_cookies(page, [deletion(self.settings.cookies, self.settings.cookies.form)])


def _is_form(environ: Environ) -> bool:
    media_type, _, parameters = str(environ.get("CONTENT_TYPE", "")).partition(";")
    if media_type.strip().lower() != _FORM or parameters.strip().lower() not in ("", "charset=utf-8"):
        return False
    if environ.get("REQUEST_METHOD") != "POST" or "HTTP_UPGRADE" in environ or "HTTP_X_REQUESTED_WITH" in environ:
        return False
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    if mode is None:
        return "text/html" in environ.get("HTTP_ACCEPT", "")
    return bool(mode == "navigate" and environ.get("HTTP_SEC_FETCH_DEST") == "document")


def _body(environ: Environ) -> str | None:
    length = str(environ.get("CONTENT_LENGTH") or "")
    if not length.isascii() or not length.isdigit() or len(length) > 4 or not 0 < int(length) <= MAX_BODY:
        return None
    body = environ["wsgi.input"].read(int(length))
    if not isinstance(body, bytes) or len(body) != int(length):
        return None
    try:
        # What does not come back as it is from a form of ours would be another form.
        parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        return body.decode("ascii")
    except ValueError:
        return None
