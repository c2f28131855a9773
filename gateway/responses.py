"""What we answer ourselves: redirects, JSON, and pages, each with the headers that keep them private and unframed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote, urlencode
from wsgiref.types import WSGIEnvironment

from werkzeug import Response
from werkzeug.datastructures import Headers

from gateway.config_provider import ProviderSettings
from gateway.errors import ADMIN_TOKEN_REQUIRED, LOGIN_REQUIRED, METHOD_REFUSED, STEP_UP_REQUIRED, GatewayError
from gateway.languages import Catalogue, Languages
from gateway.oidc.challenge import StepUp, challenge_text
from gateway.oidc.logout import EndSession
from gateway.oidc.messages import Entropy, base64url
from gateway.page_templates import PageTemplates

RETRY_AFTER_SECONDS = 5
"""When to come back if the failure itself does not know."""

_REALM = {"realm": "gateway"}

_NONCE_BYTES = 16
_REFERENCE_BYTES = 6

_DECIDES = "Accept, Authorization, Cookie, Sec-Fetch-Dest, Sec-Fetch-Mode, X-Requested-With"
"""The fields by which a request is taken for a navigation or not, and for somebody's or not."""

_PRIVATE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that, browsers send `Origin: null` from our own forms.
    "Referrer-Policy": "same-origin",
}


class Responses:
    """Makes responses; `templates` are the sources of an operator's pages, by name.

    Pages are in the language that an `Accept-Language` asks for, JSON is in English.
    """

    def __init__(
        self,
        *,
        start_path: str,
        public_url: str,
        entropy: Entropy,
        templates: Mapping[str, str],
        languages: Languages,
    ) -> None:
        self._languages = languages
        self._pages = PageTemplates(templates, languages)
        self._start_path = start_path
        self._public_url = public_url
        self._entropy = entropy

    def redirect(self, location: str, cookies: Iterable[str] = ()) -> Response:
        """Send the browser on with a GET (RFC 9110 15.4.4)."""
        return with_cookies(_Redirect(status=303, headers={**_PRIVATE, "Location": location}), cookies)

    def text(self, status: int, text: str) -> Response:
        """Answer a machine in a word."""
        return Response(text, status=status, headers=_PRIVATE, content_type="text/plain; charset=utf-8")

    def members(self, status: int, members: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
        """Answer with a JSON object."""
        body = json.dumps(members, separators=(",", ":"))
        own = {**_PRIVATE, **_challenge(status), **(headers or {})}
        return Response(body, status=status, headers=own, content_type="application/json")

    def page(self, name: str, context: Mapping[str, object], *, accept_language: str, status: int = 200) -> Response:
        """Answer with a page of ours."""
        return self._page(name, context, self._languages.choose(accept_language), status=status)

    def _page(
        self,
        name: str,
        context: Mapping[str, object],
        catalogue: Catalogue,
        *,
        status: int = 200,
        form_action: str = "'self'",
    ) -> Response:
        # `form_action` is where the page's forms may lead (CSP 3, 6.4.2).
        nonce = base64url(self._entropy(_NONCE_BYTES))
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
        )
        body = self._pages.render(name, catalogue, {**context, "nonce": nonce})
        language = {"Content-Language": catalogue.tag, "Vary": "Accept-Language"}
        headers = {**_PRIVATE, **_challenge(status), **language, "Content-Security-Policy": policy}
        return Response(body, status=status, headers=headers, content_type="text/html; charset=utf-8")

    def framed(self, text: str, *, by: str) -> Response:
        """Answer in a frame that pages of one other origin may show, and nobody else's (CSP 3, 6.4.2)."""
        policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors {by}"
        kept = {name: value for name, value in _PRIVATE.items() if name != "X-Frame-Options"}
        headers = {**kept, "Cache-Control": "no-cache, no-store", "Content-Security-Policy": policy}
        body = f"<!doctype html><title>{text}</title>"
        return Response(body, headers=headers, content_type="text/html; charset=utf-8")

    def sign_out_page(self, *, action: str, fields: Mapping[str, str], user: str, accept_language: str) -> Response:
        """Ask whether to sign out."""
        context = {"action": action, "fields": fields, "user": user}
        return self._leading_on("sign_out", context, self._languages.choose(accept_language))

    def end_session_page(self, wanted: EndSession, *, accept_language: str) -> Response:
        """Have the browser post to the provider that the user signs out."""
        return self._leading_on("end_session", {"wanted": wanted}, self._languages.choose(accept_language))

    def console(self, context: Mapping[str, object]) -> Response:
        """Answer with the developer's console, which is in English whatever is asked for."""
        return self._leading_on("console", context, self._languages.english)

    def _leading_on(self, name: str, context: Mapping[str, object], catalogue: Catalogue) -> Response:
        return self._page(name, context, catalogue, form_action=self._anywhere())

    def _anywhere(self) -> str:
        # A sign-out leads on to the provider, and perhaps from there to others before it comes back; browsers hold
        # every hop against `form-action`.
        return "'self' https:" if self._public_url.startswith("https:") else "'self' https: http:"

    def chooser(
        self, providers: Sequence[ProviderSettings], parameters: Mapping[str, str], *, accept_language: str
    ) -> Response:
        """Let the user choose a provider; whatever the link asked for goes along with the choice."""
        kept = {name: value for name, value in parameters.items() if name not in ("provider", "iss")}
        choices = [
            {"title": one.title, "url": f"{self._start_path}?{urlencode({**kept, 'provider': one.name})}"}
            for one in providers
        ]
        return self.page("chooser", {"choices": choices}, accept_language=accept_language)

    def step_up_required(self, demand: StepUp) -> Response:
        """Answer what is no navigation and whose login is too weak: what is missing, and where to go (RFC 9470 3)."""
        asked = {} if not demand.acr_values else {"acr_values": " ".join(demand.acr_values)}
        if demand.max_age is not None:
            asked["max_age"] = str(demand.max_age)
        members = {
            "error": STEP_UP_REQUIRED.code,
            "message": STEP_UP_REQUIRED.title,
            "login_url": f"{self._public_url}{self._start_path}?{urlencode(asked)}",
        }
        challenge = challenge_text("Bearer", {"error": "insufficient_user_authentication", **asked})
        return self.members(401, members, {"WWW-Authenticate": challenge})

    def error(
        self,
        error: GatewayError,
        *,
        html: bool,
        reference: str,
        accept_language: str = "",
        again: str = "",
        challenge: str = "",
    ) -> Response:
        """Answer a failure: its code and what the public may know, never its detail.

        `again` is a path on this site for which a new login may be begun, `challenge` a `WWW-Authenticate`.
        """
        problem = error.problem
        if html:
            catalogue = self._languages.choose(accept_language)
            context = {
                "title": catalogue.plain(problem.title),
                "advice": catalogue.plain(problem.advice),
                "code": problem.code,
                "status": int(problem.status),
                "reference": reference,
                "home": "/",
                "again": self.start_url(again) if again else "",
            }
            response = self._page("error", context, catalogue, status=problem.status)
        else:
            members = {"error": problem.code, "message": problem.title, "reference": reference}
            response = self.members(problem.status, members)
        if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            response.headers["Retry-After"] = str(error.retry_after or RETRY_AFTER_SECONDS)
        if challenge or problem is ADMIN_TOKEN_REQUIRED:
            response.headers["WWW-Authenticate"] = challenge or challenge_text("Bearer", _REALM)
        if problem is METHOD_REFUSED:
            response.headers["Allow"] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        return response

    def unauthorized(self, *, bearer: bool = False) -> Response:
        """Answer what is no navigation: 401, where to sign in, and no cookie (RFC 9110 15.5.2).

        `bearer` says that an access token would do, too (RFC 6750 3).
        """
        members = {
            "error": LOGIN_REQUIRED.code,
            "message": LOGIN_REQUIRED.title,
            "login_url": self._public_url + self._start_path,
        }
        schemes = ["Cookie", *(["Bearer"] if bearer else [])]
        challenges = ", ".join(challenge_text(scheme, _REALM) for scheme in schemes)
        return self.members(401, members, {"WWW-Authenticate": challenges, "Vary": _DECIDES})

    def fragment(self, target: str, *, accept_language: str) -> Response:
        """Answer with the page that carries the address's fragment into the login."""
        context = {"start": self._start_path, "target": target}
        return self.page("fragment", context, accept_language=accept_language)

    def start_url(self, return_to: str) -> str:
        """Make the link that begins a login."""
        return f"{self._start_path}?rd={quote(return_to, safe='/')}"

    def reference(self) -> str:
        """Make a name for one failure, by which the page and the log find each other."""
        return self._entropy(_REFERENCE_BYTES).hex()


class _Redirect(Response):
    """A response whose `Location` goes out as it was made: the address that was asked for, to the letter."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Location"] = self.headers["Location"]  # werkzeug encodes what browsers leave alone, brackets say.
        return headers


def _challenge(status: int) -> dict[str, str]:
    # No 401 goes without one (RFC 9110 15.5.2).
    return {"WWW-Authenticate": challenge_text("Cookie", _REALM)} if status == HTTPStatus.UNAUTHORIZED else {}


def with_cookies(response: Response, cookies: Iterable[str]) -> Response:
    """Add `Set-Cookie` lines to a response."""
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie)
    return response
