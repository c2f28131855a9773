"""What a link to the start of a login may ask for, by the configuration and by what makes sense."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from gateway.config_authorization_model import PROMPTS
from gateway.errors import PARAMETER_REFUSED, GatewayError

MAX_LENGTH = 512
MAX_CLAIMS_LENGTH = 2048


def allowed_parameters(parameters: Mapping[str, str], allowed: Collection[str]) -> dict[str, str]:
    """Pick what a link may ask for; raises `parameter_refused` for a value that no provider could take."""
    picked = {name: value for name, value in parameters.items() if name in allowed and value}
    for name, value in picked.items():
        longest = MAX_CLAIMS_LENGTH if name == "claims" else MAX_LENGTH
        if len(value) > longest or not value.isprintable():
            raise GatewayError(PARAMETER_REFUSED, f"{name} is too long or not printable")
    if "prompt" in picked:
        picked["prompt"] = _prompt(picked["prompt"])
    if "max_age" in picked and asked_max_age(picked) is None:
        raise GatewayError(PARAMETER_REFUSED, "max_age is not a number of seconds")
    if "claims" in picked:
        _check_claims(picked["claims"])
    return picked


def asked_scope(parameters: Mapping[str, str], *, openid: bool) -> str:
    """Read the scope that was asked for instead of the registered one; raises `parameter_refused`."""
    words = parameters.get("scope", "").split()
    if words and openid and "openid" not in words:
        raise GatewayError(PARAMETER_REFUSED, "scope must contain openid")
    return " ".join(words)


def asked_resource(parameters: Mapping[str, str]) -> tuple[str, ...] | None:
    """Read what the tokens are to be for instead of what is registered (RFC 8707 2); raises `parameter_refused`."""
    resources = tuple(parameters.get("resource", "").split())
    if not all(urlsplit(each).scheme and "#" not in each for each in resources):
        raise GatewayError(PARAMETER_REFUSED, "resource must be absolute URIs without fragments")
    return resources or None


def asked_max_age(parameters: Mapping[str, str]) -> int | None:
    """Read `max_age` where it is a number of seconds."""
    asked = parameters.get("max_age", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None


def strictest(*ages: int | None) -> int | None:
    """Return the smallest of the ages that are given, or None."""
    return min((age for age in ages if age is not None), default=None)


def _check_claims(text: str) -> None:
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GatewayError(PARAMETER_REFUSED, "claims is not JSON") from error
    if not isinstance(claims, dict):
        raise GatewayError(PARAMETER_REFUSED, "claims is no JSON object")


def _prompt(value: str) -> str:
    words = value.split()
    if words != ["none"] and (not words or not set(words) <= PROMPTS):
        raise GatewayError(PARAMETER_REFUSED, "prompt has no or an unknown value, or none and another one")
    return " ".join(words)


def strictest_classes(demanded: tuple[str, ...], required: tuple[str, ...]) -> tuple[str, ...]:
    """Return the authentication classes that satisfy both, or what every login requires where none does."""
    if not demanded or not required:
        return demanded or required
    return tuple(name for name in required if name in demanded) or required
