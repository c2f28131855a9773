"""Judges the configuration by itself: what agrees with the rules, and will all the same not do what is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.config import Settings
from gateway.config_sources import ConfigurationError
from gateway.doctor import diagnoses_parts as kinds
from gateway.doctor.finding import Finding, found, origin_of, place_of
from gateway.oidc.metadata import is_loopback

SUBJECT = "configuration"

FEW_CHARACTERS = 10
"""A random secret of 32 characters has more different ones, but for one in a billion."""

EXAMPLES = frozenset({"Password1", "put-it-into-the-environment-instead", "thirty-two characters are enough"})
_OWN = ("session.", "admin_token")
"""What secrets of our own are called; a client's was made by the provider."""
_PLACEHOLDER = re.compile(
    r"change[ _-]?(?:me|this|it)|placeholder|put[ _-](?:it|your)|replace[ _-]?(?:me|this|with)|your[ _-]|insert[ _-]|"
    r"example|todo|xxxx|dummy",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A file that holds a private key or a secret: the key that names it, and its mode as `stat` has it."""

    key: str
    path: str
    mode: int


def configuration_problems(error: ConfigurationError) -> list[Finding]:
    """Say what the configuration itself says is wrong, a finding for each of its lines."""
    return [
        found(kinds.CONFIGURATION_INVALID, SUBJECT, {"problem": problem if problem.endswith(".") else f"{problem}."})
        for problem in error.problems
    ]


def judge_configuration(settings: Settings, files: list[KeyFile]) -> list[Finding]:
    """Say what will not do what is meant."""
    findings = [
        *_behind(settings),
        *_lifetimes(settings),
        *_secrets(settings),
        *_files(files),
        *_verification(settings),
        *_addresses(settings),
    ]
    return findings or [found(kinds.CONFIGURATION_OK, SUBJECT)]


def _behind(settings: Settings) -> Iterator[Finding]:
    if not settings.upstreams and not settings.forward_auth.enabled:
        yield found(kinds.NOTHING_BEHIND, SUBJECT)


def _lifetimes(settings: Settings) -> Iterator[Finding]:
    times = settings.lifetimes
    leeway = times.refresh_leeway + times.refresh_jitter
    values = {"idle": times.idle, "lifetime": times.absolute, "leeway": leeway, "cache": settings.local_cache}
    if times.idle > times.absolute:
        yield found(kinds.IDLE_LONGER_THAN_LIFETIME, SUBJECT, values)
    if leeway >= times.absolute:
        yield found(kinds.LEEWAY_LONGER_THAN_LIFETIME, SUBJECT, values)
    if settings.local_cache >= times.idle:
        yield found(kinds.CACHE_LONGER_THAN_IDLE, SUBJECT, values)


def _secrets(settings: Settings) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for key, secret in _all_secrets(settings).items():
        if secret in EXAMPLES or _PLACEHOLDER.search(secret):
            own = key.startswith(_OWN)
            yield found(kinds.SECRET_PLACEHOLDER if own else kinds.CLIENT_SECRET_EXAMPLE, SUBJECT, {"key": key})
        elif key.startswith(_OWN) and len(set(secret)) < FEW_CHARACTERS:
            yield found(kinds.SECRET_MONOTONOUS, SUBJECT, {"key": key, "count": len(set(secret))})
        if secret in seen:
            yield found(kinds.SECRET_REUSED, SUBJECT, {"key": key, "other": seen[secret]})
        seen.setdefault(secret, key)


def _all_secrets(settings: Settings) -> Mapping[str, str]:
    ring = [secret.decode("utf-8") for _, secret in settings.ring.secrets]
    named = [("session.secret", secret) for secret in ring]
    named += [("admin_token", token) for token in settings.admin_tokens]
    single = settings.only_provider
    named += [
        ("provider.client_secret" if single else f"providers.{name}.client_secret", one.client.client_secret)
        for name, one in settings.providers.items()
        if one.client.client_secret
    ]
    counts: dict[str, int] = {}
    numbered: dict[str, str] = {}
    for key, secret in named:
        number = counts.get(key, 0)
        counts[key] = number + 1
        numbered[key if number == 0 else f"{key}.{number}"] = secret
    return numbered


def _files(files: list[KeyFile]) -> Iterator[Finding]:
    for file in files:
        if file.mode & 0o004:
            yield found(
                kinds.KEY_FILE_READABLE,
                SUBJECT,
                {"key": file.key, "path": file.path, "mode": f"{file.mode & 0o777:03o}"},
            )


def _verification(settings: Settings) -> Iterator[Finding]:
    for one in settings.providers.values():
        if one.verify_tls is False:
            yield found(kinds.VERIFICATION_OFF, SUBJECT, {"key": f"verify_tls of the provider {one.name}"})
    for name, upstream in settings.upstreams.items():
        if upstream.verify_tls is False and any(url.startswith("https:") for url in upstream.urls):
            yield found(kinds.VERIFICATION_OFF, SUBJECT, {"key": f"verify_tls of the upstream {place_of(name)}"})


def _addresses(settings: Settings) -> Iterator[Finding]:
    for network in settings.trusted_proxies:
        if network.prefixlen == 0:
            yield found(kinds.PROXIES_ANYONE, SUBJECT, {"network": network})
    for one in settings.providers.values():
        host = origin_of(one.issuer).rpartition("://")[2].partition(":")[0]
        if one.client.expects_form and not settings.cookies.secure and not is_loopback(host):
            yield found(
                kinds.FORM_POST_WITHOUT_TLS,
                SUBJECT,
                {"issuer": origin_of(one.issuer), "public_url": settings.public_url},
            )
        if origin_of(one.issuer) == settings.public_url:
            yield found(kinds.ISSUER_IS_PUBLIC_URL, SUBJECT, {"origin": settings.public_url})
