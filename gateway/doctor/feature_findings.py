"""Holds the configuration against what the provider lists in its metadata; what it does not list, it may yet have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.config import Settings
from gateway.config_provider import ProviderSettings
from gateway.doctor import diagnoses_provider as kinds
from gateway.doctor.finding import Diagnosis, Finding, found, listed
from gateway.doctor.provider_facts import Published
from gateway.doctor.provider_findings import NO_METADATA
from gateway.errors import GatewayError
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.client_auth import AUTH_METHODS, auth_method
from gateway.oidc.dpop import DPOP_ALGORITHM
from gateway.oidc.metadata import ProviderMetadata
from gateway.route import Bearer, Token

MAX_SHOWN = 12
"""How many values of a list are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Want:
    """What is wanted of a list in the metadata: one of the values, unless nothing is."""

    diagnosis: Diagnosis
    member: str
    wanted: Sequence[str]
    key: str = ""


def judge_features(published: Published, settings: Settings, subject: str) -> list[Finding]:
    """Say what the configuration asks for and the provider does not offer."""
    metadata, members = published.metadata, published.members
    if metadata is None:
        return [found(kinds.FEATURES_SKIPPED, subject, {"why": NO_METADATA})]
    one = published.settings
    findings = [
        *(_lacking(want, members, subject) for want in _wants(one, metadata)),
        *_encryptions(one.client, members, subject),
        *_of_the_request(one, members, metadata, subject),
        *_of_the_token(one, members, subject),
        *_of_the_scope(one, members, subject),
        *_of_the_user(one, settings, members, subject),
        *_of_the_routes(one, settings, metadata, subject),
    ]
    return [finding for finding in findings if finding is not None] or [found(kinds.FEATURES_OK, subject)]


def _wants(one: ProviderSettings, metadata: ProviderMetadata) -> list[_Want]:
    client, method = one.client, _method(one.client, metadata)
    signing = [client.signing_keys[0].algorithm] if client.signing_keys else []
    assertion = {"private_key_jwt": signing, "client_secret_jwt": ["HS256"]}.get(method, [])
    mode = [client.response_mode] if client.response_mode else []
    table: list[tuple[Diagnosis, str, Sequence[str]]] = [
        (kinds.GRANT_NOT_OFFERED, "grant_types", ["authorization_code"]),
        (kinds.RESPONSE_MODE_NOT_OFFERED, "response_modes", mode),
        (kinds.S256_NOT_OFFERED, "code_challenge_methods", ["S256"]),
        (kinds.AUTH_METHOD_NOT_OFFERED, "token_endpoint_auth_methods", [method] if method else _equipped(client)),
        (kinds.AUTH_ALG_NOT_OFFERED, "token_endpoint_auth_signing_alg_values", assertion),
        (kinds.ID_TOKEN_ALG_NOT_OFFERED, "id_token_signing_alg_values", client.id_token.algorithms),
        (kinds.USERINFO_ALG_NOT_OFFERED, "userinfo_signing_alg_values", _algorithms(client.userinfo)),
        (kinds.ANSWER_ALG_NOT_OFFERED, "authorization_signing_alg_values", _algorithms(client.authorization_response)),
        (kinds.INTROSPECTION_ALG_NOT_OFFERED, "introspection_signing_alg_values", _algorithms(client.introspection)),
        (kinds.REQUEST_ALG_NOT_OFFERED, "request_object_signing_alg_values", signing if one.asked.via.signed else []),
    ]
    of_id_token = kinds.ID_TOKEN_ALG_NOT_OFFERED
    return [
        _Want(diagnosis=diagnosis, member=f"{member}_supported", wanted=wanted)
        for diagnosis, member, wanted in table
        if one.openid or diagnosis is not of_id_token
    ]


def _method(client: Client, metadata: ProviderMetadata) -> str:
    try:
        return auth_method(metadata, client)
    except (GatewayError, ValueError):
        return ""


def _equipped(client: Client) -> list[str]:
    # What auth_method would have taken, had the provider offered it.
    has = {"private_key_jwt": bool(client.signing_keys), "none": not client.client_secret}
    certificate, secret = client.has_certificate, bool(client.client_secret)
    return [one for one in AUTH_METHODS if has.get(one, certificate if "tls" in one else secret)]


def _algorithms(protection: Protection | None) -> Sequence[str]:
    return () if protection is None else protection.algorithms


def _lacking(want: _Want, members: Mapping[str, object], subject: str) -> Finding | None:
    offered = _texts(members, want.member)
    if not want.wanted or offered is None or set(want.wanted) & set(offered):
        return None
    values = {
        "wanted": listed(want.wanted),
        "member": want.member,
        "offered": listed(offered[:MAX_SHOWN]),
        "key": want.key,
    }
    return found(want.diagnosis, subject, values)


def _texts(members: Mapping[str, object], name: str) -> list[str] | None:
    values = members.get(name)
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else None


def _encryptions(client: Client, members: Mapping[str, object], subject: str) -> Iterator[Finding | None]:
    encrypted = {
        "id_token": ("id_token_encrypted_response", client.id_token.encryption),
        "userinfo": ("userinfo_encrypted_response", _encryption(client.userinfo)),
        "authorization": ("authorization_encrypted_response", _encryption(client.authorization_response)),
        "introspection": ("introspection_encrypted_response", _encryption(client.introspection)),
        "request_object": ("request_object_encryption", client.request_object_encryption),
    }
    for name, (key, pair) in encrypted.items():
        for part, value in zip(("alg", "enc"), pair or (), strict=False):
            want = _Want(
                diagnosis=kinds.ENCRYPTION_NOT_OFFERED,
                member=f"{name}_encryption_{part}_values_supported",
                wanted=[value],
                key=f"provider.{key}_{part}",
            )
            yield _lacking(want, members, subject)


def _encryption(protection: Protection | None) -> tuple[str, str] | None:
    return None if protection is None else protection.encryption


def _of_the_request(
    one: ProviderSettings, members: Mapping[str, object], metadata: ProviderMetadata, subject: str
) -> Iterator[Finding]:
    via, wanted = one.asked.via, {"wanted": one.asked.via.value}
    offered = _texts(members, "response_types_supported")
    if offered is not None and set(one.client.response_type.split()) not in [set(each.split()) for each in offered]:
        values = {
            "wanted": one.client.response_type,
            "member": "response_types_supported",
            "offered": listed(offered[:MAX_SHOWN]),
        }
        yield found(kinds.CODE_FLOW_NOT_OFFERED, subject, values)
    if via.pushed and metadata.pushed_authorization_request_endpoint is None:
        yield found(kinds.PAR_NOT_OFFERED, subject, wanted)
    if via.signed and members.get("request_parameter_supported") is False:
        yield found(kinds.REQUEST_OBJECT_NOT_OFFERED, subject, wanted)
    if not via.signed and members.get("require_signed_request_object") is True:
        yield found(kinds.REQUEST_OBJECT_REQUIRED, subject, wanted)


def _of_the_token(one: ProviderSettings, members: Mapping[str, object], subject: str) -> Iterator[Finding]:
    constraint, offered = one.client.sender_constraint, _texts(members, "dpop_signing_alg_values_supported")
    if constraint is SenderConstraint.DPOP and DPOP_ALGORITHM not in (offered or []):
        yield found(kinds.DPOP_NOT_OFFERED, subject, {"offered": listed(offered or [])})
    if constraint is SenderConstraint.MTLS and members.get("tls_client_certificate_bound_access_tokens") is not True:
        yield found(kinds.MTLS_NOT_OFFERED, subject)


def _of_the_scope(one: ProviderSettings, members: Mapping[str, object], subject: str) -> Iterator[Finding]:
    offered, asked = _texts(members, "scopes_supported"), one.client.scope.split()
    if offered is None:
        return
    missing = [scope for scope in asked if scope not in offered]
    if missing:
        yield found(kinds.SCOPE_NOT_OFFERED, subject, {"wanted": listed(missing)})
    if "offline_access" in offered and "offline_access" not in asked:
        yield found(kinds.OFFLINE_ACCESS_NOT_ASKED, subject)


def _of_the_user(
    one: ProviderSettings, settings: Settings, members: Mapping[str, object], subject: str
) -> Iterator[Finding]:
    asked = one.asked.parameters
    classes = _texts(members, "acr_values_supported")
    wanted = {*asked.get("acr_values", "").split(), *one.required_acr}
    wanted |= {name for route in settings.routes for name in route.requirement.acr if route.provider in ("", one.name)}
    missing = sorted(wanted - set(classes or []))
    if classes is not None and missing:
        yield found(kinds.ACR_NOT_OFFERED, subject, {"wanted": listed(missing), "offered": listed(classes[:MAX_SHOWN])})
    prompts, prompt = _texts(members, "prompt_values_supported"), asked.get("prompt", "")
    if prompts is not None and not set(prompt.split()) <= set(prompts):
        yield found(kinds.PROMPT_NOT_OFFERED, subject, {"wanted": prompt, "offered": listed(prompts[:MAX_SHOWN])})
    if one.asked.claims and json.loads(one.asked.claims) and members.get("claims_parameter_supported") is not True:
        yield found(kinds.CLAIMS_NOT_OFFERED, subject)


def _of_the_routes(
    one: ProviderSettings, settings: Settings, metadata: ProviderMetadata, subject: str
) -> Iterator[Finding]:
    if metadata.introspection_endpoint is not None:
        return
    for route in settings.routes:
        needs = route.token is Token.INTROSPECTED or Bearer.INTROSPECTION in route.bearer
        if needs and route.provider in ("", one.name):
            yield found(kinds.INTROSPECTION_NOT_OFFERED, subject, {"path": route.path})
