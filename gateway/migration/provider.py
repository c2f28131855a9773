"""The provider, and our registration there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.migration.given import Given
from gateway.migration.report import Item, Outcome
from gateway.presets import checked_answer, preset_named, provider_section

NOWHERE = "https://provider.invalid"
"""Stands for an issuer that nobody named, so that nobody can sign in."""

_DISCOVERED = ("login_url", "redeem_url", "profile_url", "oidc_jwks_url")
_METADATA = {
    "login_url": "authorization_endpoint",
    "redeem_url": "token_endpoint",
    "profile_url": "userinfo_endpoint",
    "oidc_jwks_url": "jwks_uri",
}
_ALREADY_ADDED = ("oidc", "keycloak-oidc", "adfs", "cidaas")
"""The providers of which oauth2-proxy asks for the scope `groups` by itself, where groups are needed."""

_ISSUERS = {"google": "https://accounts.google.com", "gitlab": "https://gitlab.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPart:
    """The section `provider`, and what is said of it; `notes` are comments over it."""

    section: Mapping[str, object]
    notes: tuple[str, ...]
    items: tuple[Item, ...]


def provider_part(given: Given) -> ProviderPart:
    """Make the section `provider`."""
    name = given.text("provider") or "google"
    items: list[Item] = []
    if name == "github":
        section = _github(given)
    else:
        section, items = _openid(name, given)
    notes: list[str] = list(preset_named("github").notes) if name == "github" else []
    section = {**section, **_told(given)}
    asked, more = _asked(given, name)
    if asked:
        section["authorization"] = asked
    items += more
    items += _of_tls(given, section)
    return ProviderPart(section=section, notes=tuple(notes), items=tuple(items))


def _openid(name: str, given: Given) -> tuple[dict[str, object], list[Item]]:
    issuer, item = _issuer(name, given)
    items = [] if item is None else [item]
    section: dict[str, object] = {"issuer": issuer, "client_id": given.text("client_id") or "put-your-client-id-here"}
    if not given.text("client_id"):
        items.append(Item(option="client_id", outcome=Outcome.REFUSED, text="is missing"))
    section["scope"] = _scope(name, given)
    if given.is_on("skip_oidc_discovery"):
        section["metadata"] = {_METADATA[one]: given.text(one) for one in _DISCOVERED if given.text(one)}
    else:
        text = "the provider's metadata says it"
        items += [Item(option=one, outcome=Outcome.NOT_NEEDED, text=text) for one in _DISCOVERED if given.text(one)]
    if given.text("validate_url"):
        items.append(Item(option="validate_url", outcome=Outcome.NOT_NEEDED, text="tokens are not asked about there"))
    return section, items


def _issuer(name: str, given: Given) -> tuple[str, Item | None]:
    issuer, tenants = given.text("oidc_issuer_url"), given.listed("entra_id_allowed_tenants")
    if not issuer and name == "azure":
        return _tenant(given)
    if tenants and name == "entra-id" and not (len(tenants) == 1 and f"/{tenants[0]}/" in issuer):
        text = "write one entry of providers for each tenant, with its issuer https://login.microsoftonline.com/ID/v2.0"
        return NOWHERE, Item(option="entra_id_allowed_tenants", outcome=Outcome.REFUSED, text=text)
    if name == "google":
        return _ISSUERS[name], None
    issuer = issuer or _ISSUERS.get(name, "")
    if not issuer:
        text = f"{name} needs oidc_issuer_url; a provider without ID tokens is written by hand, with type: oauth2"
        return NOWHERE, Item(option="provider", outcome=Outcome.REFUSED, text=text)
    return issuer, None


def _tenant(given: Given) -> tuple[str, Item | None]:
    preset = preset_named("entra")
    try:
        tenant = checked_answer("tenant", given.text("azure_tenant") or "common")
    except ValueError as error:
        return NOWHERE, Item(option="azure_tenant", outcome=Outcome.REFUSED, text=str(error))
    return preset.issuer.format(tenant=tenant), None


def _scope(name: str, given: Given) -> str:
    scope = given.text("scope")
    if not scope:
        groups = given.listed("allowed_groups") and name in _ALREADY_ADDED
        return "openid profile email groups" if groups else "openid profile email"
    return scope if "openid" in scope.split() else f"openid {scope}"


def _github(given: Given) -> dict[str, object]:
    section = provider_section(preset_named("github"), {}, given.text("client_id") or "put-your-client-id-here")
    login, redeem, api = given.text("login_url"), given.text("redeem_url"), given.text("validate_url")
    if login:
        parts = urlsplit(login)
        section["issuer"] = f"{parts.scheme}://{parts.netloc}"
    own = {
        "authorization_endpoint": login,
        "token_endpoint": redeem,
        "userinfo_endpoint": f"{api.rstrip('/')}/user" if api else "",
    }
    named = section["metadata"]
    known = named if isinstance(named, Mapping) else {}
    section["metadata"] = {**known, **{name: value for name, value in own.items() if value}}
    if given.text("scope"):
        section["scope"] = given.text("scope")
    return section


def _told(given: Given) -> dict[str, object]:
    told: dict[str, object] = {}
    if given.text("provider_display_name"):
        told["title"] = given.text("provider_display_name")
    if given.listed("oidc_enabled_signing_algs"):
        told["id_token_signed_response_alg"] = list(given.listed("oidc_enabled_signing_algs"))
    if given.is_on("skip_claims_from_profile_url"):
        told["userinfo"] = False
    if given.text("jwt_key_file"):
        told["signing_keys"] = [given.text("jwt_key_file")]
    return told


def _asked(given: Given, name: str) -> tuple[dict[str, object], list[Item]]:
    asked: dict[str, object] = {}
    for option, key in (
        ("acr_values", "acr_values"),
        ("prompt", "prompt"),
        ("auth_request_response_mode", "response_mode"),
    ):
        if given.text(option):
            asked[key] = given.text(option)
    if given.text("resource"):
        asked["resource"] = [given.text("resource")]
    old = given.text("approval_prompt")
    if old and name == "google" and "prompt" not in asked and old == "force":
        asked["prompt"] = "consent"
    elif old:
        return asked, [
            Item(option="approval_prompt", outcome=Outcome.NOT_NEEDED, text="only Google knows it, and prompt wins")
        ]
    return asked, []


def _of_tls(given: Given, section: dict[str, object]) -> list[Item]:
    files = given.listed("provider_ca_files")
    if given.is_on("ssl_insecure_skip_verify"):
        section["verify_tls"] = False
        return [
            Item(
                option="ssl_insecure_skip_verify",
                outcome=Outcome.MAPPED,
                text="provider.verify_tls: false, for experiments",
            )
        ]
    if len(files) == 1:
        section["verify_tls"] = files[0]
    if len(files) > 1:
        return [
            Item(
                option="provider_ca_files",
                outcome=Outcome.UNSUPPORTED,
                text="put them into one file, and name it in provider.verify_tls",
            )
        ]
    return []
