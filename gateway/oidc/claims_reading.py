"""Reading claims of a JWT as what they have to be; the caller says which problem it is when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.errors import GatewayError, Problem

MAX_IDENTIFIER_LENGTH = 255
"""OIDC Core 2 allows `sub` so many characters; what else names something is held to the same."""

_KIND_CLAIMS = ("typ", "token_use")
"""Where a provider may say among the claims what a token is: Keycloak in `typ`, Hydra and Cognito in `token_use`."""

_ACCESS_TOKEN_KINDS = frozenset({"bearer", "dpop", "access", "access_token", "at+jwt", "application/at+jwt"})


def text_claim(claims: Mapping[str, object], name: str, problem: Problem) -> str:
    """Read a claim that has to be a text."""
    value = claims.get(name)
    if not isinstance(value, str):
        raise GatewayError(problem, f"{name} is missing or not a text")
    return value


def identifier_claim(claims: Mapping[str, object], name: str, problem: Problem) -> str:
    """Read a claim that names something or somebody, `sub` for instance: printable, neither empty nor too long."""
    identifier = text_claim(claims, name, problem)
    if not identifier or len(identifier) > MAX_IDENTIFIER_LENGTH or not identifier.isprintable():
        raise GatewayError(problem, f"{name} is empty, too long or not printable")
    return identifier


def seconds_claim(claims: Mapping[str, object], name: str, problem: Problem) -> int:
    """Read a claim that has to be a time, in seconds since the epoch (RFC 7519 2, NumericDate)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 40:
        raise GatewayError(problem, f"{name} is missing or not a time")
    return int(value)


def audience_claim(claims: Mapping[str, object], problem: Problem) -> Sequence[str]:
    """Read `aud`, which is a text or a list of texts (RFC 7519 4.1.3)."""
    aud = claims.get("aud")
    audiences = [aud] if isinstance(aud, str) else aud
    if not isinstance(audiences, list) or not all(isinstance(name, str) for name in audiences):
        raise GatewayError(problem, "aud is neither a text nor a list of texts")
    return audiences


def said_kind(claims: Mapping[str, object]) -> bool | None:
    """Tell whether the claims themselves say that the token is an access token; None where they say nothing of it.

    Whatever is no known word for one says that it is something else: a refresh token, an ID token.
    """
    said = [claims[name] for name in _KIND_CLAIMS if claims.get(name) is not None]
    if not said:
        return None
    return all(isinstance(kind, str) and kind.lower() in _ACCESS_TOKEN_KINDS for kind in said)
