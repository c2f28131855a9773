"""How strongly a user has signed in: the authentication context class `acr` (OIDC Core 2, 5.5.1.1, RFC 9470 4)."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.testing.parties import Refusal
from gateway.testing.request_checks import asked_claims
from gateway.testing.state import ProviderState


def supported_acrs(state: ProviderState, parameters: Mapping[str, str]) -> list[str]:
    """List the classes that are asked for and that the provider has, the preferred one first.

    Raises `Refusal` with `unmet_authentication_requirements` where one is essential and none can be had.
    """
    claim = (asked_claims(parameters.get("claims")).get("id_token") or {}).get("acr") or {}
    one, several = claim.get("value"), claim.get("values")
    essential = (
        [str(one)] if one is not None else [str(value) for value in several] if isinstance(several, list) else []
    )
    asked = essential or parameters.get("acr_values", "").split()
    supported = [acr for acr in asked if state.acrs_supported is None or acr in state.acrs_supported]
    if essential and claim.get("essential") is True and not supported:
        raise Refusal("unmet_authentication_requirements", "none of the essential classes can be had")
    return supported


def acr_of_login(state: ProviderState, parameters: Mapping[str, str]) -> str | None:
    """Tell the class of a fresh sign-in: the one that is asked for, else the first that the provider has."""
    return next(iter([*supported_acrs(state, parameters), *(state.acrs_supported or ())]), None)
