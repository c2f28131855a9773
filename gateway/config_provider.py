"""One provider as the gateway uses it: who we are there, what we ask, and where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.config_provider_model import ProviderModel
from gateway.oidc.authorization_request import Asked, Via
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.metadata import REQUIRED_ENDPOINTS

DEFAULT_ENCODING = "A128CBC-HS256"
"""OIDC Registration 2, where only the `_alg` is registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """A provider and what we ask of it; `timeout` is in seconds, `certificate` names the files of ours and its key.

    `required_acr` are the authentication classes that every login must have one of, since `claims` asks for them as
    essential.
    """

    name: str
    title: str
    openid: bool
    issuer: str
    client: Client
    asked: Asked
    metadata: Mapping[str, object]
    verify_tls: bool | str
    certificate: tuple[str, str] | None = field(repr=False)
    timeout: int
    userinfo: bool
    subject_claim: str
    max_age: int | None
    required_acr: tuple[str, ...]
    requires_iss: bool
    start_parameters: frozenset[str]
    registration: str = ""
    logout: str = "query"

    @property
    def required_endpoints(self) -> tuple[str, ...]:
        """What the metadata must name."""
        if self.openid:
            return REQUIRED_ENDPOINTS
        return ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAddresses:
    """Where we are for one provider: what it sends browsers to, and what it calls itself."""

    redirect_uri: str
    post_logout_redirect_uri: str
    backchannel_logout_uri: str
    frontchannel_logout_uri: str


def provider_settings(name: str, model: ProviderModel, own: OwnAddresses) -> ProviderSettings:
    """Turn the keys of a provider into its settings."""
    asked, claims = model.authorization, model.authorization.claims
    certificate, key = model.client_certificate, model.client_certificate_key
    return ProviderSettings(
        name=name,
        title=model.title or name,
        openid=model.type == "openid",
        issuer=model.issuer,
        client=_client(model, own),
        asked=Asked(
            via=Via(model.via),
            parameters=_parameters(model),
            claims=claims,
            authorization_details=asked.authorization_details,
        ),
        metadata=dict(model.metadata),
        verify_tls=model.verify_tls,
        certificate=None if certificate is None or key is None else (certificate, key),
        timeout=model.timeout,
        userinfo=model.userinfo,
        subject_claim=model.subject_claim,
        max_age=asked.max_age,
        required_acr=_essential_acr({} if claims is None else json.loads(claims)),
        requires_iss=model.profile is not None,
        start_parameters=frozenset(model.start_parameters),
        registration=model.registration or "",
        logout=model.logout,
    )


def _client(model: ProviderModel, own: OwnAddresses) -> Client:
    openid = model.type == "openid"  # Without ID tokens there is no logout token, and no `sid`.
    signed_answer = (model.authorization.mode or "").endswith(".jwt")
    answer = _protection(
        model.authorization_signed_response_alg or model.id_token_algorithms,
        model.authorization_encrypted_response_alg,
        model.authorization_encrypted_response_enc,
    )
    id_token = _protection(
        model.id_token_algorithms, model.id_token_encrypted_response_alg, model.id_token_encrypted_response_enc
    )
    return Client(
        client_id=model.client_id,
        client_secret=model.client_secret.get_secret_value(),
        token_endpoint_auth_method=model.auth_method,
        signing_keys=model.own_keys("sig"),
        decryption_keys=model.own_keys("enc"),
        has_certificate=model.client_certificate is not None,
        sender_constraint=SenderConstraint(model.constraint),
        redirect_uri=own.redirect_uri,
        post_logout_redirect_uri=own.post_logout_redirect_uri,
        backchannel_logout_uri=own.backchannel_logout_uri if openid else "",
        frontchannel_logout_uri=own.frontchannel_logout_uri if openid else "",
        scope=model.scope,
        response_type=model.authorization.response_type,
        response_mode=model.authorization.mode,
        resource=tuple(model.authorization.resource),
        id_token=id_token or Protection(algorithms=()),
        userinfo=_protection(
            model.userinfo_signed_response_alg,
            model.userinfo_encrypted_response_alg,
            model.userinfo_encrypted_response_enc,
        ),
        authorization_response=answer if signed_answer else None,
        introspection=_protection(
            model.introspection_signed_response_alg,
            model.introspection_encrypted_response_alg,
            model.introspection_encrypted_response_enc,
        ),
        request_object_encryption=_encryption(model.request_object_encryption_alg, model.request_object_encryption_enc),
        leeway=model.clock_leeway,
    )


def _protection(algorithms: Sequence[str], alg: str | None, enc: str | None) -> Protection | None:
    encryption = _encryption(alg, enc)
    if not algorithms and encryption is None:
        return None
    return Protection(algorithms=tuple(algorithms), encryption=encryption)


def _encryption(alg: str | None, enc: str | None) -> tuple[str, str] | None:
    return None if alg is None else (alg, enc or DEFAULT_ENCODING)


def _parameters(model: ProviderModel) -> dict[str, str]:
    asked = model.authorization
    named = {"acr_values": asked.acr_values, "prompt": asked.prompt, "ui_locales": asked.ui_locales}
    return {**asked.extra, **{name: value for name, value in named.items() if value is not None}}


def _essential_acr(claims: Mapping[str, object]) -> tuple[str, ...]:
    """Read `{"id_token": {"acr": {"essential": true, "values": [...]}}}` (OIDC Core 5.5.1.1)."""
    wanted = claims.get("id_token")
    acr = wanted.get("acr") if isinstance(wanted, dict) else None
    if not isinstance(acr, dict) or acr.get("essential") is not True:
        return ()
    values = acr.get("values", [acr["value"]] if "value" in acr else [])
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
