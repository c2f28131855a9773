"""The keys of `provider.authorization:`: what every login asks for."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator

from gateway.config_values import Duration, JSONText, Listed, Mapped

PROTECTED_PARAMETERS = frozenset(
    {
        "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge",
        "code_challenge_method", "max_age", "request", "request_uri", "id_token_hint", "dpop_jkt", "claims",
        "authorization_details", "resource", "client_assertion", "client_assertion_type", "client_secret", "iss", "aud",
        "sub",
    }
)  # fmt: skip
"""Parameters of the authorization request that are ours to set, or that would replace all the others."""

PROMPTS = frozenset({"login", "consent", "select_account", "create", "consent_allow_deselection"})


class Model(BaseModel):
    """What all parts of the configuration share: no unknown keys, and no values in error messages."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


def _prompt(value: str) -> str:
    words = value.split()
    unknown = sorted(set(words) - PROMPTS)
    if unknown or not words:
        raise ValueError(f"must be of {', '.join(sorted(PROMPTS))}, with spaces between")
    return " ".join(words)


class AuthorizationModel(Model):
    """What every authorization request asks for."""

    via: Literal["query", "pushed", "signed", "signed_pushed"] = "query"
    """How the request travels: in the address, pushed beforehand (RFC 9126), signed (RFC 9101), or both."""
    response_type: Literal["code", "code id_token"] = "code"
    """What the provider answers with; an ID token beside the code only in a form."""
    response_mode: Literal["query", "form_post", "query.jwt", "form_post.jwt"] | None = None
    """How it answers; those with `.jwt` are signed (JARM)."""
    acr_values: str | None = None
    """Authentication context classes to ask for."""
    prompt: Annotated[str, AfterValidator(_prompt)] | None = None
    """What to ask of the user at every login: login, consent, select_account, with spaces between."""
    max_age: Duration | None = None
    """How old a login at the provider may be; checked against `auth_time`."""
    ui_locales: str | None = None
    """Languages for the provider's pages."""
    claims: JSONText | None = None
    """Single claims to ask for, as JSON (OIDC Core 5.5)."""
    resource: Listed[str] = []
    """What the access token is for (RFC 8707)."""
    authorization_details: JSONText | None = None
    """Fine-grained permissions to ask for, as JSON (RFC 9396)."""
    extra: Mapped[str] = {}
    """More parameters of the authorization request; those that protect the flow cannot be replaced."""

    @field_validator("extra")
    @classmethod
    def _leaves_the_flow_alone(cls, extra: dict[str, str]) -> dict[str, str]:
        refused = sorted(PROTECTED_PARAMETERS.intersection(extra))
        if refused:
            raise ValueError(f"must not set {', '.join(refused)}")
        return extra

    @model_validator(mode="after")
    def _is_coherent(self) -> AuthorizationModel:
        if self.response_type != "code" and self.response_mode not in (None, "form_post", "form_post.jwt"):
            raise ValueError("response_type: code id_token needs response_mode: form_post")
        if self.claims is not None and not isinstance(json.loads(self.claims), dict):
            raise ValueError("claims must be a JSON object")
        if self.authorization_details is not None and not isinstance(json.loads(self.authorization_details), list):
            raise ValueError("authorization_details must be a JSON array")
        return self

    @property
    def mode(self) -> str | None:
        """The response mode, where it is not what the provider would choose."""
        return self.response_mode or ("form_post" if self.response_type != "code" else None)
