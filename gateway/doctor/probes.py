"""Two questions to a provider that prove something without a user: do you know us, and where do you send browsers."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.doctor.finding import place_of
from gateway.doctor.provider_facts import Asking, Exchange, Published, reached
from gateway.errors import GatewayError
from gateway.oidc.client import SenderConstraint
from gateway.oidc.client_auth import auth_method, authenticated_call
from gateway.oidc.dpop import new_dpop_key
from gateway.oidc.messages import Call, Moment, base64url
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.transaction import new_transaction

MADE_UP_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What came of the two questions; in `client_skipped` and `redirect_skipped` is why one was not asked."""

    method: str = ""
    client: Exchange | None = None
    client_skipped: str = ""
    redirect: Exchange | None = None
    redirect_skipped: str = ""
    push_problem: GatewayError | None = None


def gather_probes(asks: Asking, published: Published) -> Probes:
    """Ask both, where there is enough to ask with; neither changes anything at the provider."""
    if published.metadata is None:
        why = "the provider's metadata could not be had"
        return Probes(client_skipped=why, redirect_skipped=why)
    method, client, client_skipped = _client(asks, published, published.metadata)
    redirect, redirect_skipped, problem = _redirect(asks, published.metadata)
    return Probes(
        method=method,
        client=client,
        client_skipped=client_skipped,
        redirect=redirect,
        redirect_skipped=redirect_skipped,
        push_problem=problem,
    )


def _client(asks: Asking, published: Published, metadata: ProviderMetadata) -> tuple[str, Exchange | None, str]:
    client = asks.provider.client
    if not published.is_reached(metadata.token_endpoint):
        return "", None, "the token endpoint was not reached"
    try:
        method = auth_method(metadata, client)
    except (GatewayError, ValueError):
        return "", None, "no way of authentication suits both sides"
    if method == "none":
        return method, None, "this client has no credentials to try"
    key = new_dpop_key(asks.outside.entropy) if client.sender_constraint is SenderConstraint.DPOP else None
    try:
        asks.channel.send("probe", lambda moment: _made_up_grant(asks, metadata, moment), key)
    except GatewayError:
        return method, asks.recorder.last(metadata.token_endpoint), ""
    return method, asks.recorder.last(metadata.token_endpoint), ""


def _made_up_grant(asks: Asking, metadata: ProviderMetadata, moment: Moment) -> Call:
    # A code that nobody was given: whoever gets as far as to refuse it has recognised the client (RFC 6749 5.2).
    client = asks.provider.client
    parameters = [
        ("grant_type", "authorization_code"),
        ("code", base64url(moment.entropy(MADE_UP_BYTES))),
        ("redirect_uri", client.redirect_uri),
        ("code_verifier", base64url(moment.entropy(MADE_UP_BYTES))),
    ]
    return authenticated_call(
        metadata.token_endpoint, metadata=metadata, client=client, parameters=parameters, moment=moment
    )


def _redirect(asks: Asking, metadata: ProviderMetadata) -> tuple[Exchange | None, str, GatewayError | None]:
    settings, endpoint = asks.provider.settings, metadata.authorization_endpoint
    if not settings.openid:
        return None, "a provider of type oauth2 cannot be asked without a user", None
    if asks.over_network and reached(endpoint, settings.verify_tls).obstacle is not None:
        return None, f"{place_of(endpoint)} is not reached from this machine, and need not be", None
    transaction = new_transaction(
        provider=settings.name, issuer=settings.issuer, return_to="/", moment=asks.channel.moment()
    )
    try:
        url = asks.provider.authorization_url(transaction, {"prompt": "none"})
    except GatewayError as error:
        return None, "", error
    try:
        asks.channel.send("probe", lambda _: Call(method="GET", url=url, headers={"Accept": "text/html"}))
    except GatewayError:
        return asks.recorder.last(endpoint), "", None
    return asks.recorder.last(endpoint), "", None
