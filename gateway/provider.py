"""The provider as we know it: its metadata and keys, and the verbs of a relying party as calls to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from gateway.back_channel import BackChannel
from gateway.backoff import Backoff
from gateway.config_provider import ProviderSettings
from gateway.errors import (
    ID_TOKEN_MISSING,
    METADATA_INVALID,
    METADATA_ISSUER_MISMATCH,
    PROVIDER_ANSWER_INVALID,
    TOKEN_ANSWER_INVALID,
    GatewayError,
    ProviderUnavailable,
)
from gateway.kept import BACKOFF_SECONDS, Clock
from gateway.oidc.authorization_request import (
    Parameters,
    authorization_parameters,
    authorization_url,
    by_reference,
    process_pushed_reply,
    pushed_call,
    signed_request,
)
from gateway.oidc.authorization_response import (
    AuthorizationResponse,
    ReceivedResponse,
    check_authorization_response,
    read_response,
)
from gateway.oidc.dpop import DPoPKey, bound_key
from gateway.oidc.id_token import (
    Expected,
    IDToken,
    check_front_channel_id_token,
    check_id_token,
    check_refreshed_id_token,
)
from gateway.oidc.jose import KeySet, SignedToken
from gateway.oidc.logout import EndSession, end_session
from gateway.oidc.logout_token import LogoutToken, check_logout_token
from gateway.oidc.messages import Moment, Reply, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.protected import open_signed
from gateway.oidc.token_endpoint import TokenSet, code_grant, process_token_reply, refresh_grant, revocation_call
from gateway.oidc.transaction import Transaction
from gateway.oidc.userinfo import check_signed_userinfo, check_subject, read_userinfo, subject_of, userinfo_call
from gateway.published import Published
from gateway.session import Login, Session
from gateway.token_service import TokenService

# A page of maintenance, say, or an empty object: it tells nothing about a session, though something did answer.
_NO_ANSWER = (PROVIDER_ANSWER_INVALID, TOKEN_ANSWER_INVALID, METADATA_INVALID, METADATA_ISSUER_MISMATCH)

_OF_THE_ID_TOKEN = frozenset({"acr", "amr", "auth_time", "nonce", "sid", "azp", "at_hash", "c_hash", "s_hash"})

_log = logging.getLogger("gateway.provider")


class Provider:
    """One provider.

    Its methods raise `ProviderUnavailable` when it cannot be asked, and another `GatewayError` when it errs.
    """

    def __init__(self, *, settings: ProviderSettings, channel: BackChannel, clock: Clock) -> None:
        self.settings = settings
        self.client = settings.client
        self._channel = channel
        self._clock = clock
        self.published = Published(settings=settings, channel=channel, clock=clock)
        self.tokens = TokenService(settings=settings, channel=channel, published=self.published, clock=clock)
        self._backoff = Backoff(clock)

    def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata, which is discovered on first use."""
        return self.published.metadata()

    def check(self) -> None:
        """Fetch metadata and keys, or say why not."""
        self.published.check()

    def authorization_url(self, transaction: Transaction, parameters: Mapping[str, str]) -> str:
        """Build the URL that begins a login, pushing the request first where that is the way.

        `parameters` are those of this login alone. Raises `metadata_lacking` and, for a push, `pushed_*`.
        """
        metadata, key = self.metadata(), bound_key(transaction.dpop_key)
        jkt = None if key is None else key.thumbprint
        wanted = authorization_parameters(self.client, transaction, self.settings.asked, parameters, jkt=jkt)
        if self.settings.asked.via.pushed or metadata.require_pushed_authorization_requests:
            pushed = process_pushed_reply(self._push(metadata, wanted, key))
            return authorization_url(metadata, by_reference(self.client, pushed))
        return authorization_url(metadata, self._signed(metadata, wanted, self._channel.moment()))

    def read_response(self, parameters: Mapping[str, str], *, posted: bool) -> ReceivedResponse:
        """Read what arrived at our redirect URI; raises as `authorization_response.read_response` does."""
        return read_response(parameters, self.client, posted=posted)

    def check_response(self, received: ReceivedResponse, transaction: Transaction) -> AuthorizationResponse:
        """Hold a response against its transaction; raises as `check_authorization_response` does."""
        metadata = self.metadata()

        def check(_: SignedToken | None, keys: KeySet) -> AuthorizationResponse:
            return check_authorization_response(
                received, transaction, metadata=metadata, client=self.client, keys=keys, now=self._now()
            )

        return check(None, ()) if received.token is None else self.published.with_keys(received.token, check)

    def redeem(self, response: AuthorizationResponse) -> Login:
        """Turn a checked response into tokens, a checked ID token and userinfo (OIDC Core 3.1.3, 3.3.3, 5.3)."""
        metadata, key = self.metadata(), bound_key(response.transaction.dpop_key)
        earlier = self._front_channel_id_token(response)
        reply = self._channel.send("code", lambda moment: code_grant(metadata, self.client, response, moment), key)
        tokens = self._tokens(reply, response.transaction.scope or self.client.scope)
        if not self.settings.openid:
            return self._login_without_id_token(tokens, key)
        id_token = self._id_token(tokens, response.transaction, earlier)
        # Until the ID token has been checked, no token is used for anything (RFC 9700 4.5.3.2).
        userinfo = self.userinfo(tokens, key)
        claims = {**check_subject(userinfo, id_token.subject), **id_token.claims} if userinfo else id_token.claims
        return Login(tokens=tokens, subject=id_token.subject, claims=claims, id_token=id_token)

    def refresh(self, session: Session) -> tuple[TokenSet, IDToken | None]:
        """Use a session's refresh token; an ID token that comes with the answer must be about the same login.

        Raises `InvalidGrant` when the refresh token is worth nothing. After an outage the provider is left alone for
        a few seconds, so that requests do not queue up behind its timeout; after an answer that is about this session,
        only with this session.
        """
        self._backoff.check(session.id)
        try:
            refreshed = self._refresh(session)
        except GatewayError as error:
            if not isinstance(error, ProviderUnavailable) and error.problem not in _NO_ANSWER:
                self._note_answer()
                raise
            self._note_failure(session, error)
            retry_after = error.retry_after or BACKOFF_SECONDS
            raise ProviderUnavailable(error.problem, error.detail, retry_after=retry_after) from error
        self._note_answer()
        return refreshed

    def revoke(self, token: str, hint: str) -> None:
        """Revoke a token where the provider offers that (RFC 7009); a refusal is logged, since nothing can be done.

        Raises `ProviderUnavailable` where it may work later.
        """
        try:
            metadata = self.metadata()
            endpoint = metadata.revocation_endpoint
            if endpoint is None:
                return
            reply = self._channel.send(
                "revocation", lambda moment: revocation_call(endpoint, metadata, self.client, token, hint, moment)
            )
            raise_if_unavailable(reply, "the revocation endpoint")
        except ProviderUnavailable:
            raise
        except GatewayError as error:
            _log.warning("provider: revocation of the %s failed: %s", hint, error)
            return
        if reply.status != 200:
            _log.warning("provider: revocation of the %s answered %d", hint, reply.status)

    def check_logout_token(self, logout_token: str) -> LogoutToken:
        """Check a logout token; raises `logout_token_*`, `jwt_*` and `jwe_*`."""
        return self.published.with_keys(
            open_signed(logout_token, self.client.id_token, self.client),
            lambda token, keys: check_logout_token(
                token, keys, issuer=self.settings.issuer, client=self.client, now=self._now()
            ),
        )

    def end_session(self, id_token: str | None, state: str) -> EndSession | None:
        """Build the sign-out of the provider; None where it offers none, cannot be asked, or is to be left out."""
        if self.settings.logout == "local":
            return None
        try:
            endpoint = self.metadata().end_session_endpoint
        except GatewayError as error:
            _log.warning("provider: no logout there: %s", error)
            return None
        if endpoint is None:
            return None
        posted = self.settings.logout == "form_post"
        return end_session(endpoint, self.client, id_token=id_token, state=state, posted=posted)

    def _note_failure(self, session: Session, error: GatewayError) -> None:
        if self._backoff.note(error, session.id):
            # One line an outage, whatever number of sessions it is about: somebody may be woken by it.
            issuer = self.settings.issuer
            _log.error("provider %s: sessions cannot be renewed, and end with their tokens: %s", issuer, error)

    def _note_answer(self) -> None:
        if self._backoff.end():
            _log.warning("provider %s: sessions can be renewed again", self.settings.issuer)

    def _push(self, metadata: ProviderMetadata, wanted: Parameters, key: DPoPKey | None) -> Reply:
        # A request object is made anew where a push is repeated: none may be seen twice (RFC 9101 10.2).
        return self._channel.send(
            "push",
            lambda moment: pushed_call(metadata, self.client, self._signed(metadata, wanted, moment), moment),
            key,
        )

    def _signed(self, metadata: ProviderMetadata, wanted: Parameters, moment: Moment) -> Parameters:
        if not self.settings.asked.via.signed:
            return wanted
        keys = self.published.encryption_keys() if self.client.request_object_encryption else ()
        return signed_request(metadata, self.client, wanted, moment, keys)

    def _tokens(self, reply: Reply, requested_scope: str) -> TokenSet:
        tokens = process_token_reply(reply, client=self.client, requested_scope=requested_scope, now=self._now())
        if self.settings.openid:
            return tokens
        return replace(tokens, scope=tokens.scope.replace(",", " "))  # GitHub puts commas between scopes.

    def _front_channel_id_token(self, response: AuthorizationResponse) -> IDToken | None:
        if "id_token" not in self.client.response_type.split():
            return None
        if response.id_token is None:
            raise GatewayError(ID_TOKEN_MISSING, "none came through the browser")
        return self.published.with_keys(
            open_signed(response.id_token, self.client.id_token, self.client),
            lambda token, keys: check_front_channel_id_token(token, keys, self._expected(""), response),
        )

    def _id_token(self, tokens: TokenSet, transaction: Transaction, earlier: IDToken | None) -> IDToken:
        if tokens.id_token is None:
            raise GatewayError(ID_TOKEN_MISSING)
        expected = self._expected(tokens.access_token)
        return self.published.with_keys(
            open_signed(tokens.id_token, self.client.id_token, self.client),
            lambda token, keys: check_id_token(token, keys, expected, transaction, earlier=earlier),
        )

    def _refresh(self, session: Session) -> tuple[TokenSet, IDToken | None]:
        self.published.prepare()  # Once the old refresh token is used, the new one must not be lost for want of keys.
        metadata, old, resource = self.metadata(), session.refresh_token or "", session.resource
        reply = self._channel.send(
            "refresh",
            lambda moment: refresh_grant(metadata, self.client, old, moment, resource),
            bound_key(session.dpop_key),
        )
        tokens = self._tokens(reply, session.scope)
        if tokens.id_token is None or not self.settings.openid:
            return tokens, None
        expected = self._expected(tokens.access_token)
        login = {**session.claims, "sub": session.subject}
        return tokens, self.published.with_keys(
            open_signed(tokens.id_token, self.client.id_token, self.client),
            lambda token, keys: check_refreshed_id_token(token, keys, expected, login=login),
        )

    def userinfo(self, tokens: TokenSet, key: DPoPKey | None) -> Mapping[str, object]:
        """Ask who an access token is about; nothing where the provider, or the configuration, has no such endpoint."""
        metadata = self.metadata()
        endpoint = metadata.userinfo_endpoint
        if endpoint is None or not self.settings.userinfo:
            return {}
        reply = self._channel.send(
            "userinfo", lambda _: userinfo_call(endpoint, self.client, tokens), key, access_token=tokens.access_token
        )
        answer = read_userinfo(reply, self.client)
        if isinstance(answer, SignedToken):
            answer = self.published.with_keys(
                answer, lambda token, keys: check_signed_userinfo(token, keys, metadata, self.client, self._now())
            )
        # How and when the user signed in is for the ID token alone to say.
        return {name: value for name, value in answer.items() if name not in _OF_THE_ID_TOKEN}

    def _login_without_id_token(self, tokens: TokenSet, key: DPoPKey | None) -> Login:
        # Nobody has vouched for an address of a user whom only an API describes. Nor may it say who vouches for it.
        claims = {"email_verified": False, **self.userinfo(tokens, key)}
        subject = subject_of(claims, self.settings.subject_claim)
        own = {"iss": self.settings.issuer, "sub": subject}
        return Login(tokens=tokens, subject=subject, claims={**claims, **own}, id_token=None)

    def _expected(self, access_token: str) -> Expected:
        return Expected(issuer=self.settings.issuer, client=self.client, now=self._now(), access_token=access_token)

    def _now(self) -> int:
        return int(self._clock())
