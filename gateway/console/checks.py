"""What each check of an ID token came to, told by the functions that decide on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from gateway.console.redaction import as_text, cut
from gateway.errors import ID_TOKEN_EXPIRED, ID_TOKEN_TOO_OLD, GatewayError
from gateway.oidc.id_token import Expected, Outcome, report_id_token, report_refreshed_id_token
from gateway.oidc.jose import SignedToken, parse_signed, unverified_claims
from gateway.oidc.protected import open_signed
from gateway.oidc.transaction import Transaction
from gateway.provider import Provider
from gateway.session import Session

PASSED, FAILED, ABSENT, OVER = "passed", "failed", "absent", "over"

_TITLES = {
    "iss": "Issuer",
    "aud": "Audience",
    "azp": "Authorized party",
    "exp": "End",
    "iat": "Issued at",
    "nbf": "Not before",
    "sub": "Subject",
    "sid": "Session of the provider",
    "at_hash": "Hash of the access token",
    "nonce": "Nonce",
    "acr": "Class of authentication",
    "auth_time": "Time of authentication",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A check: the claim that it is about with its value, its state, and the code and the detail of what failed."""

    name: str
    title: str
    value: str
    state: str
    code: str = ""
    detail: str = ""


def checks_of_login(
    provider: Provider, raw: str, access_token: str, transaction: Transaction, now: int
) -> tuple[Row, ...]:
    """Tell of the ID token of a login, just as it came, what each check comes to."""
    client = provider.client
    expected = Expected(issuer=provider.settings.issuer, client=client, now=now, access_token=access_token)
    try:
        token = open_signed(raw, client.id_token, client)
        outcomes = provider.published.with_keys(
            token, lambda token, keys: report_id_token(token, keys, expected, transaction)
        )
    except GatewayError as error:
        return (_failed_signature(error),)
    return _rows(token, outcomes)


def checks_of_session(provider: Provider, session: Session, now: int) -> tuple[Row, ...]:
    """Tell of the ID token that a session holds what each check comes to now, against the login that it is of."""
    client = provider.client
    expected = Expected(issuer=provider.settings.issuer, client=client, now=now, access_token=session.access_token)
    report = partial(report_refreshed_id_token, expected=expected, login={**session.claims, "sub": session.subject})
    try:
        token = parse_signed(session.id_token or "", client.id_token.algorithms)
        outcomes = provider.published.with_keys(token, report)
    except GatewayError as error:
        return (_failed_signature(error),)
    return tuple(_as_of_now(row, session) for row in _rows(token, _merged(outcomes)))


def _merged(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    # What is checked twice, by itself and against the login, is one row: that of the check that failed.
    merged: dict[str, Outcome] = {}
    for outcome in outcomes:
        earlier = merged.get(outcome.name)
        merged[outcome.name] = outcome if earlier is None or not earlier.code else earlier
    return tuple(merged.values())


def _rows(token: SignedToken, outcomes: tuple[Outcome, ...]) -> tuple[Row, ...]:
    claims = unverified_claims(token)  # The report has verified them.
    named = f"alg {token.algorithm}" + ("" if token.kid is None else f", kid {token.kid}")
    signature = Row(name="signature", title="Signature", value=cut(as_text(named), 120), state=PASSED)
    return (signature, *(_row(outcome, claims) for outcome in outcomes))


def _row(outcome: Outcome, claims: Mapping[str, object]) -> Row:
    there = outcome.name in claims
    return Row(
        name=outcome.name,
        title=_TITLES[outcome.name],
        value=cut(as_text(claims[outcome.name]), 120) if there else "",
        state=FAILED if outcome.code else PASSED if there else ABSENT,
        code=outcome.code,
        detail=cut(as_text(outcome.detail)),
    )


def _as_of_now(row: Row, session: Session) -> Row:
    if row.code in (ID_TOKEN_EXPIRED.code, ID_TOKEN_TOO_OLD.code):
        told = "It was checked when it came, and has ended since; the session goes by times of its own."
        return Row(name=row.name, title=row.title, value=row.value, state=OVER, code=row.code, detail=told)
    if row.name == "at_hash" and row.code and session.access_issued_at > session.created_at:
        told = "The access token was renewed since, and no new ID token came with it."
        return Row(name=row.name, title=row.title, value=row.value, state=OVER, code=row.code, detail=told)
    return row


def _failed_signature(error: GatewayError) -> Row:
    return Row(
        name="signature",
        title="Signature",
        value="",
        state=FAILED,
        code=error.code,
        detail=cut(as_text(f"{error.detail}. Nothing else is looked at.")),
    )
