"""Signing out: here first, then at the provider, then a page that does not sign in again."""

from __future__ import annotations

from dataclasses import dataclass, field

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import LogoutNote, begin_logout, deletion, find_logout, read_cookies, session_handles
from gateway.endpoints.request import Request
from gateway.errors import CROSS_SITE_REFUSED, PARAMETER_REFUSED, GatewayError
from gateway.oidc.logout import EndSession
from gateway.oidc.messages import Entropy
from gateway.policy import is_same_origin
from gateway.responses import Responses, with_cookies
from gateway.session_events import session_event
from gateway.store import HeldSession
from gateway.target import safe_return_to
from gateway.telemetry import Kind, Silence, Telemetry

_OWN_WISH = frozenset({"same-origin", "none"})
"""Sec-Fetch-Site of a link on this site, and of an address that the user typed or bookmarked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutEndpoints:
    """The endpoints that end sessions."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    entropy: Entropy
    telemetry: Telemetry = field(default_factory=Silence)

    def sign_out(self, request: Request) -> Response:
        """End the session, here and at the provider; a link on another site only gets to ask whether to.

        Who accepts JSON alone is told where to send the browser. With `local=true` the provider's own session goes on.
        Raises `cross_site_refused` for another site's form, `return_url_refused` for another site's `rd`, and
        `parameter_refused` for another `local`.
        """
        posted = request.target.method == "POST"
        if posted and not is_same_origin(request.target, self.settings.public_url, self.settings.cors_origins):
            raise GatewayError(CROSS_SITE_REFUSED, "sign-out by another site's form")
        held = self.authenticator.find_session(session_handles(self.settings.cookies, request.cookies))
        # A body is read for those alone who have a session: whoever sends it slowly holds a thread.
        asked = {**request.query(), **(request.form() if posted and held is not None else {})}
        return_to = safe_return_to(asked["rd"], self.settings.public_url) if asked.get("rd") else ""
        if asked.get("local", "true") != "true":
            raise GatewayError(PARAMETER_REFUSED, "local can only be true")
        if held is None:
            return self._without_session(request, return_to)
        if posted or self._is_wish(request):
            return self._end(request, held, return_to, local="local" in asked)
        user = held.session.claims.get("email") or held.session.claims.get("preferred_username") or ""
        fields = {"rd": return_to, **({"local": "true"} if "local" in asked else {})}
        return self.responses.sign_out_page(
            action=request.target.path,
            fields=fields,
            user=_printable(str(user)),
            accept_language=request.accept_language,
        )

    def signed_out(self, request: Request) -> Response:
        """Land after the sign-out: where the user wished to go, if this browser's own logout comes back."""
        policy = self.settings.cookies
        logout = find_logout(policy, request.cookies, request.query().get("state", ""))
        if logout is not None and logout.return_to:
            return self.responses.redirect(logout.return_to, [deletion(policy, policy.logout)])
        context = {"home": self.responses.start_url("/")}
        response = self.responses.page("signed_out", context, accept_language=request.accept_language)
        if logout is not None:
            response.headers.add("Set-Cookie", deletion(policy, policy.logout))
        return response

    def _end(self, request: Request, held: HeldSession, return_to: str, *, local: bool) -> Response:
        policy = self.settings.cookies
        begun = self.authenticator.end_session(held, session_handles(policy, request.cookies), local=local)
        ended = session_event(Kind.LOGOUT, held.session, way="sign_out", client=request.target.client)
        self.telemetry.happened(ended)
        # A login under way would sign the user in again, and the note of a stronger one is not the next user's.
        names = dict.fromkeys(name for name, _ in read_cookies(request.cookies))
        left = [
            name
            for name in names
            if policy.is_transaction(name) or name in (policy.step_up, policy.form, policy.landing)
        ]
        cookies = [deletion(policy, name) for name in (policy.session, *left)]
        if _wants_json(request):
            if begun.at_provider is not None:
                cookies.append(begin_logout(policy, LogoutNote(state=begun.state, return_to=return_to), self.entropy))
            return self._told(begun.at_provider, cookies)
        if begun.at_provider is None:
            return self.responses.redirect(return_to or self.settings.post_logout_path, cookies)
        cookies.append(begin_logout(policy, LogoutNote(state=begun.state, return_to=return_to), self.entropy))
        if not begun.at_provider.fields:
            return self.responses.redirect(begun.at_provider.url, cookies)
        page = self.responses.end_session_page(begun.at_provider, accept_language=request.accept_language)
        return with_cookies(page, cookies)

    def _told(self, at_provider: EndSession | None, cookies: list[str]) -> Response:
        # A script cannot follow a redirect to another site's page; it is told where to send the browser.
        members: dict[str, object] = {"logout_url": None if at_provider is None else at_provider.url}
        if at_provider is not None and at_provider.fields:
            members["fields"] = dict(at_provider.fields)
        return with_cookies(self.responses.members(200, members), cookies)

    def _without_session(self, request: Request, return_to: str) -> Response:
        policy = self.settings.cookies
        if _wants_json(request):
            return self._told(None, [deletion(policy, policy.session)])
        return self.responses.redirect(return_to or self.settings.post_logout_path, [deletion(policy, policy.session)])

    def _is_wish(self, request: Request) -> bool:
        return request.target.navigation and request.target.fetch_site in _OWN_WISH


def _wants_json(request: Request) -> bool:
    accepted = str(request.environ.get("HTTP_ACCEPT", ""))
    return request.target.method == "POST" and "application/json" in accepted and "text/html" not in accepted


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # A claim may hold half of a surrogate pair.
