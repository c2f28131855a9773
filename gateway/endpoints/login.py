"""Signing in: the start of a login and the callback that completes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug import Response

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import (
    RETRY_SECONDS,
    begin_transaction,
    deletion,
    find_transaction,
    has_cookie,
    note,
    session_cookie,
    session_handles,
)
from gateway.endpoints.request import Request
from gateway.errors import (
    RESPONSE_STATE_MISSING,
    TRANSACTION_EXPIRED,
    TRANSACTION_MISSING,
    TRANSACTION_REPEATED,
    GatewayError,
)
from gateway.oidc.authorization import Entropy, Transaction
from gateway.oidc.messages import single_parameters
from gateway.responses import Responses, with_cookies
from gateway.target import safe_return_to

MAX_RETURN_TO = 2048
"""A longer address is not remembered whole: the transaction has to fit into a cookie."""

_STALE = (TRANSACTION_EXPIRED, TRANSACTION_REPEATED)


class LoginFailed(GatewayError):
    """A login failed; `return_to` is what the user may try to reach again."""

    def __init__(self, error: GatewayError, return_to: str) -> None:
        super().__init__(error.problem, error.detail, retry_after=error.retry_after)
        self.return_to = return_to


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginEndpoints:
    """The endpoints that begin and complete logins."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    entropy: Entropy

    def start(self, request: Request) -> Response:
        """Begin a login that ends at `rd`; raises `return_url_refused` for another site's address."""
        parameters = request.query()
        return_to = safe_return_to(parameters.get("rd") or "/", self.settings.public_url)
        return self.begin(request, return_to, parameters)

    def begin(self, request: Request, return_to: str, parameters: Mapping[str, str]) -> Response:
        """Send the browser to the provider, with a transaction of its own in a cookie."""
        begun = self.authenticator.begin_login(self._landing(return_to), parameters)
        cookies = begin_transaction(self.settings.cookies, begun.transaction, request.cookies, self.entropy)
        return self.responses.redirect(begun.url, cookies)

    def callback(self, request: Request) -> Response:
        """Complete the login whose state came back, if this very browser began it (OIDC Core 3.1.2.7)."""
        parameters = single_parameters(request.target.query.encode("ascii"))
        if not parameters.get("state"):
            raise GatewayError(RESPONSE_STATE_MISSING)
        transaction = find_transaction(self.settings.cookies, request.cookies, parameters["state"])
        if transaction is None:
            return self._stale(request, "/", GatewayError(TRANSACTION_MISSING))
        try:
            return self._complete(request, parameters, transaction)
        except GatewayError as error:
            if error.problem in _STALE:
                return self._stale(request, transaction.return_to, error)
            raise LoginFailed(error, transaction.return_to) from error

    def _complete(self, request: Request, parameters: Mapping[str, str], transaction: Transaction) -> Response:
        policy = self.settings.cookies
        held = self.authenticator.complete_login(parameters, transaction, session_handles(policy, request.cookies))
        cookies = [session_cookie(policy, held.handle), deletion(policy, policy.transaction(transaction.state))]
        if has_cookie(request.cookies, policy.retry):
            cookies.append(deletion(policy, policy.retry))
        return self.responses.redirect(transaction.return_to, cookies)

    def _stale(self, request: Request, return_to: str, error: GatewayError) -> Response:
        # A bookmarked, repeated or late callback: home if a session lives, else one fresh login, and only one, so that
        # a browser that keeps no cookies is not sent round in circles.
        policy = self.settings.cookies
        if self.authenticator.find_session(session_handles(policy, request.cookies)) is not None:
            return self.responses.redirect(return_to)
        if has_cookie(request.cookies, policy.retry):
            raise LoginFailed(error, return_to)
        response = self.begin(request, return_to, {})
        return with_cookies(response, [note(policy, policy.retry, max_age=RETRY_SECONDS)])

    def _landing(self, return_to: str) -> str:
        path = return_to.partition("#")[0].partition("?")[0]
        if path == self.settings.callback_path or path.startswith(f"{self.settings.prefix}/"):
            return "/"  # Landing on an endpoint of ours would start a login or a logout anew.
        return return_to if len(return_to) <= MAX_RETURN_TO else path if len(path) <= MAX_RETURN_TO else "/"
