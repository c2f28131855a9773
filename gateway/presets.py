"""Providers that are known by name: what has to be asked about each, and the section that it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TENANT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_REALM = re.compile(r"[A-Za-z0-9._~-]+")

OFFLINE = "openid profile email offline_access"

QUESTIONS: Mapping[str, str] = {
    "issuer": "The issuer of the provider, to the letter",
    "base_url": "The address of Keycloak, as in https://keycloak.example.com",
    "realm": "The realm",
    "tenant": "The ID of the tenant (a UUID)",
    "domain": "The domain of the provider, as in example.eu.auth0.com",
}
"""What a preset may ask, in the words of a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A provider: `asks` are names in `QUESTIONS` that `issuer` is made of, `section` what else stands in `provider`.

    `notes` go over the section in the file, `register` says where the client is registered.
    """

    name: str
    title: str
    register: str
    issuer: str = "{issuer}"
    asks: tuple[str, ...] = ("issuer",)
    section: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_GITHUB = {
    "authorization_endpoint": "https://github.com/login/oauth/authorize",
    "token_endpoint": "https://github.com/login/oauth/access_token",
    "userinfo_endpoint": "https://api.github.com/user",
}

PRESETS: tuple[Preset, ...] = (
    Preset(
        name="curity",
        title="Curity Identity Server",
        register="the admin UI: the token service's Clients, with the capability Code Flow",
        notes=(
            "Refresh tokens are a setting of the client at Curity; no scope asks for them.",
            "The client may have only the scopes that are configured for it; take away those that it has not.",
        ),
    ),
    Preset(
        name="keycloak",
        title="Keycloak",
        register="the admin console: Clients, Create client, with Client authentication on",
        issuer="{base_url}/realms/{realm}",
        asks=("base_url", "realm"),
        notes=(
            "Keycloak gives refresh tokens unasked, and they end with the user's session there. offline_access would",
            "make them outlive it. Before Keycloak 17 the issuer has /auth before /realms.",
            "Roles are in realm_access.roles where a mapper adds them to the ID token or to userinfo.",
        ),
    ),
    Preset(
        name="entra",
        title="Microsoft Entra ID",
        register="the Entra admin center: App registrations, platform Web",
        issuer="https://login.microsoftonline.com/{tenant}/v2.0",
        asks=("tenant",),
        section={"scope": OFFLINE},
        notes=(
            "Entra ID leaves out the groups of users who are in more than 200; a rule that needs them then answers",
            "groups_overage. Use application roles, or assign fewer groups to the application.",
        ),
    ),
    Preset(
        name="google",
        title="Google",
        register="the Google Cloud console: Clients, a web application",
        issuer="https://accounts.google.com",
        asks=(),
        section={"authorization": {"prompt": "consent", "extra": {"access_type": "offline"}}},
        notes=(
            "Google knows no offline_access: access_type=offline asks for a refresh token, and it comes with consent",
            "alone. Google has no address to sign out at, so that a sign-out ends the session here only.",
            "Anybody with a Google account can sign in: restrict the rules by require.email_domains.",
        ),
    ),
    Preset(
        name="auth0",
        title="Auth0",
        register="the Auth0 dashboard: Applications, a regular web application",
        issuer="https://{domain}/",
        asks=("domain",),
        section={"scope": OFFLINE},
        notes=("The issuer of Auth0 ends in a slash. The application needs the grant type Refresh Token.",),
    ),
    Preset(
        name="okta",
        title="Okta",
        register="the Okta admin console: Applications, OIDC, a web application",
        issuer="https://{domain}",
        asks=("domain",),
        section={"scope": OFFLINE},
        notes=(
            "This is Okta's org authorization server. A custom one is https://DOMAIN/oauth2/default, and its access",
            "tokens are JWTs for an API of yours. The application needs the grant type Refresh Token.",
        ),
    ),
    Preset(
        name="github",
        title="GitHub",
        register="GitHub: Settings, Developer settings, OAuth Apps",
        issuer="https://github.com",
        asks=(),
        section={
            "type": "oauth2",
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "read:user",
            "subject_claim": "id",
            "metadata": _GITHUB,
        },
        notes=(
            "GitHub has no ID token: its API alone says who the user is. Tokens of an OAuth app do not expire, and",
            "there is no address to sign out at. Anybody with an account can sign in: restrict the rules by",
            "require.claims, as in {login: [octocat]}.",
        ),
    ),
    Preset(name="other", title="another provider", register="the provider"),
)
"""All of them, in the order in which they are shown."""

PRESET_NAMES = tuple(preset.name for preset in PRESETS)


def preset_named(name: str) -> Preset:
    """Find a preset; raises `KeyError`."""
    return {preset.name: preset for preset in PRESETS}[name]


def checked_answer(question: str, answer: str) -> str:
    """Bring what was answered into the form that an issuer is made of; raises `ValueError`.

    What `issuer` and `base_url` may be is for the configuration to say.
    """
    answer = answer.strip()
    if question == "tenant" and not _TENANT.fullmatch(answer.lower()):
        raise ValueError("must be the ID of one tenant, a UUID: common and names are not in the issuer of its tokens")
    if question == "realm" and not _REALM.fullmatch(answer):
        raise ValueError("must be the name of a realm, as it stands in addresses")
    if question == "domain":
        answer = answer.lower().removeprefix("https://").rstrip("/")
        if not _DOMAIN.fullmatch(answer):
            raise ValueError("must be a domain, without a path: example.eu.auth0.com")
    if question == "base_url":
        if "?" in answer or "#" in answer:
            raise ValueError("must have no query and no fragment")
        return answer.rstrip("/")
    return answer.lower() if question == "tenant" else answer


def provider_section(preset: Preset, answers: Mapping[str, str], client_id: str) -> dict[str, object]:
    """Make the section `provider` of what was asked; an `issuer` that was given wins over the preset's own."""
    issuer = answers.get("issuer") or preset.issuer.format(**answers)
    return {"issuer": issuer, "client_id": client_id, **preset.section}
