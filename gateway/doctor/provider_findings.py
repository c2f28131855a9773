"""Judges a provider by what it says of itself: whether it is reached, its metadata, its clock, its keys."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.doctor.contact import Obstacle
from gateway.doctor.contact_findings import contact_findings
from gateway.doctor.diagnoses_contact import PROVIDER_CONTACT
from gateway.doctor.diagnoses_provider import (
    CLOCK_DIFFERS,
    CLOCK_OK,
    CLOCK_UNKNOWN,
    DISCOVERY_BY_HAND,
    DISCOVERY_FAILED,
    DISCOVERY_FAILING,
    DISCOVERY_NOT_FOUND,
    DISCOVERY_NOT_JSON,
    DISCOVERY_OK,
    DISCOVERY_REDIRECTED,
    DISCOVERY_REFUSED,
    DISCOVERY_SKIPPED,
    ISSUER_MISMATCH,
    ISSUER_SCHEME,
    ISSUER_SLASH,
    JWKS_EMPTY,
    JWKS_FAILED,
    JWKS_LACKS_ALGORITHM,
    JWKS_LACKS_ENCRYPTION,
    JWKS_OK,
    JWKS_SKIPPED,
    JWKS_UNUSABLE,
    LOGOUT_LOCAL,
    LOGOUT_NOT_OFFERED,
    LOGOUT_OK,
    LOGOUT_SKIPPED,
    METADATA_UNUSABLE,
    PROXY_IGNORED,
)
from gateway.doctor.finding import Finding, found, listed, place_of
from gateway.doctor.provider_facts import Exchange, Published
from gateway.errors import GatewayError
from gateway.oidc.jose import (
    ASYMMETRIC_ALGORITHMS,
    SYMMETRIC_ALGORITHMS,
    KeySet,
    process_encryption_jwks,
    process_jwks,
)
from gateway.oidc.messages import Reply, json_object

_IN_THE_WAY = (Obstacle.HOST_UNKNOWN, Obstacle.REFUSED, Obstacle.SILENT, Obstacle.UNREACHABLE)
NOT_REACHED = "the provider was not reached"
NO_METADATA = "the provider's metadata could not be had"


def judge_contacts(published: Published, subject: str, now: float, proxy_variables: Sequence[str]) -> list[Finding]:
    """Say what keeps us from the provider's servers; `proxy_variables` are those of the environment that name one."""
    contacts = published.contacts.values()
    findings = [one for contact in contacts for one in contact_findings(contact, PROVIDER_CONTACT, subject, now)]
    if proxy_variables and any(contact.obstacle in _IN_THE_WAY for contact in contacts):
        findings.append(found(PROXY_IGNORED, subject, {"variable": proxy_variables[0]}))
    return findings


def judge_discovery(published: Published, subject: str) -> list[Finding]:
    """Judge the metadata, and how they came."""
    if published.metadata is not None:
        if published.discovery is None:
            return [found(DISCOVERY_BY_HAND, subject)]
        return [
            found(
                DISCOVERY_OK, subject, {"url": published.discovery.url, "issuer": place_of(published.metadata.issuer)}
            )
        ]
    if published.discovery is None:
        return (
            [found(METADATA_UNUSABLE, subject, {"detail": published.problem})]
            if published.problem
            else [found(DISCOVERY_SKIPPED, subject, {"why": NOT_REACHED})]
        )
    return [_judge_discovery(published, published.discovery, subject)]


def _judge_discovery(published: Published, discovery: Exchange, subject: str) -> Finding:
    reply, url = discovery.reply, discovery.url
    if reply is None:
        return found(DISCOVERY_FAILED, subject, {"url": url, "detail": discovery.failure})
    values = {"url": url, "status": reply.status, "media_type": reply.media_type or "no media type"}
    if reply.status in (401, 403):
        return found(DISCOVERY_REFUSED, subject, values)
    if 300 <= reply.status < 400:
        location = place_of(reply.headers.get("location", "nowhere"))
        return found(DISCOVERY_REDIRECTED, subject, {**values, "location": location})
    if reply.status >= 500 or reply.status == 429:
        return found(DISCOVERY_FAILING, subject, values)
    if reply.status != 200:
        return found(DISCOVERY_NOT_FOUND, subject, values)
    return _judge_members(published, reply, subject, values)


def _judge_members(published: Published, reply: Reply, subject: str, values: dict[str, object]) -> Finding:
    try:
        issuer = json_object(reply).get("issuer")
    except GatewayError:
        return found(DISCOVERY_NOT_JSON, subject, values)
    configured = published.settings.issuer
    if issuer == configured:
        return found(METADATA_UNUSABLE, subject, {"detail": published.problem})
    both = {"configured": place_of(configured), "discovered": place_of(str(issuer))}
    if isinstance(issuer, str) and issuer.removesuffix("/") == configured.removesuffix("/"):
        return found(ISSUER_SLASH, subject, both)
    if isinstance(issuer, str) and issuer.partition("://")[2] == configured.partition("://")[2]:
        return found(ISSUER_SCHEME, subject, both)
    return found(ISSUER_MISMATCH, subject, both)


def judge_clock(published: Published, exchanges: Sequence[Exchange], subject: str) -> list[Finding]:
    """Hold the provider's clock against ours by the first answer that tells it."""
    told = next((one for one in exchanges if one.their_time is not None), None)
    if told is None or told.their_time is None:
        return [found(CLOCK_UNKNOWN, subject, {"why": "no answer of the provider says what time it is there"})]
    # A Date has whole seconds, and was written at some time between the call and its reply.
    behind, ahead = told.sent_at - told.their_time - 1, told.their_time - told.received_at
    skew, leeway = max(behind, ahead, 0), published.settings.client.leeway
    values = {"skew": f"{skew:.0f}", "leeway": leeway, "direction": "behind" if behind > ahead else "ahead of"}
    return [found(CLOCK_DIFFERS if skew > leeway else CLOCK_OK, subject, values)]


def judge_keys(published: Published, subject: str) -> list[Finding]:
    """Judge the key set: whether it is there, and has keys for what the configuration pins."""
    metadata, jwks = published.metadata, published.jwks
    if metadata is None:
        return [found(JWKS_SKIPPED, subject, {"why": NO_METADATA})]
    if metadata.jwks_uri is None:
        return [found(JWKS_SKIPPED, subject, {"why": "a provider without ID tokens signs nothing"})]
    if jwks is None:
        return [found(JWKS_SKIPPED, subject, {"why": f"{place_of(metadata.jwks_uri)} was not reached"})]
    if jwks.reply is None:
        return [found(JWKS_FAILED, subject, {"url": jwks.url, "detail": jwks.failure})]
    try:
        signing, encryption = process_jwks(jwks.reply), process_encryption_jwks(jwks.reply)
    except GatewayError as error:
        return [found(JWKS_UNUSABLE, subject, {"url": jwks.url, "detail": error.detail})]
    return _judge_signing(published, jwks.url, signing, subject) + _judge_encryption(
        published, jwks.url, encryption, subject
    )


def _judge_signing(published: Published, url: str, keys: KeySet, subject: str) -> list[Finding]:
    wanted = _pinned(published)
    if not wanted:
        return [found(JWKS_SKIPPED, subject, {"why": "nothing is signed with a key of the provider"})]
    if not keys:
        return [found(JWKS_EMPTY, subject, {"url": url})]
    offered = [one for one in ASYMMETRIC_ALGORITHMS if any(key.serves(one) for key in keys)]
    findings = [
        found(
            JWKS_LACKS_ALGORITHM,
            subject,
            {"url": url, "wanted": listed(algorithms), "offered": listed(offered), "key": key},
        )
        for key, algorithms in wanted.items()
        if not set(algorithms) & set(offered)
    ]
    return findings or [found(JWKS_OK, subject, {"url": url, "count": len(keys), "algorithms": listed(offered)})]


def _pinned(published: Published) -> dict[str, tuple[str, ...]]:
    # One that is a MAC needs no key of the provider, and any one of several will do.
    client = published.settings.client
    protections = {
        "provider.id_token_signed_response_alg": client.id_token if published.settings.openid else None,
        "provider.userinfo_signed_response_alg": client.userinfo,
        "provider.authorization_signed_response_alg": client.authorization_response,
        "provider.introspection_signed_response_alg": client.introspection,
    }
    return {
        key: one.algorithms
        for key, one in protections.items()
        if one is not None and one.algorithms and not set(one.algorithms) & set(SYMMETRIC_ALGORITHMS)
    }


def _judge_encryption(published: Published, url: str, keys: KeySet, subject: str) -> list[Finding]:
    encryption = published.settings.client.request_object_encryption
    asymmetric = encryption is not None and encryption[0].startswith(("RSA", "ECDH"))
    if encryption is None or not asymmetric or any(key.serves(encryption[0]) for key in keys):
        return []
    return [found(JWKS_LACKS_ENCRYPTION, subject, {"url": url, "wanted": encryption[0]})]


def judge_logout(published: Published, subject: str) -> list[Finding]:
    """Tell whether a sign-out can go on to the provider."""
    if published.settings.logout == "local":
        return [found(LOGOUT_LOCAL, subject)]
    if published.metadata is None:
        return [found(LOGOUT_SKIPPED, subject, {"why": NO_METADATA})]
    return [found(LOGOUT_OK if published.metadata.end_session_endpoint else LOGOUT_NOT_OFFERED, subject)]
