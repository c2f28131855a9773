"""The keys of `provider:`, and what among them has to agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.config_authorization_model import AuthorizationModel, Model
from gateway.config_values import (
    Duration,
    Listed,
    Mapped,
    OneOrMore,
    ProtectedURL,
    ReadableFile,
    Verification,
)
from gateway.errors import GatewayError
from gateway.oidc.client_auth import CERTIFICATE_METHODS, SECRET_METHODS
from gateway.oidc.jwe import JWE_ALGORITHMS, JWE_ENCODINGS
from gateway.oidc.keys import OwnKey, load_own_keys
from gateway.oidc.messages import parse_json_object

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
    "HS256", "HS384", "HS512",
]  # fmt: skip
AuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
    "self_signed_tls_client_auth", "none",
]  # fmt: skip
StartParameter = Literal[
    "acr_values", "prompt", "login_hint", "ui_locales", "max_age",
]  # fmt: skip
FAPI_ALGORITHMS = ("PS256", "ES256", "EdDSA", "Ed25519")
"""What FAPI 2.0 5.4 lets anything be signed with."""


def _encryption(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return value


EncryptionAlgorithm = Annotated[str, AfterValidator(lambda value: _encryption(value, JWE_ALGORITHMS))]
Encoding = Annotated[str, AfterValidator(lambda value: _encryption(value, JWE_ENCODINGS))]


class ProviderModel(Model):
    """The provider and our registration there."""

    title: str | None = None
    """What the provider is called on the page where users choose one."""
    type: Literal["openid", "oauth2"] = "openid"
    """`oauth2` for a provider without ID tokens, such as GitHub: its userinfo endpoint alone says who the user is."""
    issuer: ProtectedURL
    """The provider's issuer identifier, to the letter; for `oauth2`, any https URL that stands for it."""
    profile: Literal["fapi2"] | None = None
    """`fapi2`: pushed requests, no shared secret, tokens bound to a key of ours, `iss` in every answer."""
    registration: str | None = None
    """The file that `gateway register` wrote; what is configured here wins over it."""
    client_id: Annotated[str, Field(min_length=1)]
    """Our name at the provider."""
    client_secret: SecretStr = SecretStr("")
    """Our secret at the provider; better kept in GATEWAY_PROVIDER__CLIENT_SECRET or in a secrets file."""
    token_endpoint_auth_method: AuthMethod | None = None
    """How we authenticate to the provider, in RFC 7591's words; the strongest that both sides have, if unset."""
    signing_keys: OneOrMore[ReadableFile] = []
    """Files with our private keys, PEM or JWK: the first signs assertions and request objects."""
    decryption_keys: OneOrMore[ReadableFile] = []
    """Files with the private keys that the provider encrypts to."""
    client_certificate: ReadableFile | None = None
    """A file with our certificate, for authentication by TLS and for tokens bound to it (RFC 8705)."""
    client_certificate_key: ReadableFile | None = None
    """The file with its private key."""
    sender_constraint: Literal["none", "dpop", "mtls"] | None = None
    """What access tokens are bound to, so that a stolen one is worth nothing: a key per session, or the certificate."""
    scope: str = "openid profile email"
    """What to ask for, with spaces between; `openid` must be among it."""
    id_token_signed_response_alg: OneOrMore[Algorithm] | None = None
    """The only algorithms that an ID token may be signed with, one or a list; RS256 if unset."""
    id_token_encrypted_response_alg: EncryptionAlgorithm | None = None
    """How the key of an encrypted ID token is encrypted; unset, ID tokens are not encrypted."""
    id_token_encrypted_response_enc: Encoding | None = None
    """How its content is; A128CBC-HS256 if unset."""
    userinfo: bool = True
    """Whether the userinfo endpoint is asked at login."""
    userinfo_signed_response_alg: OneOrMore[Algorithm] = []
    """The only algorithms that userinfo may be signed with; unset, it is plain JSON."""
    userinfo_encrypted_response_alg: EncryptionAlgorithm | None = None
    """How the key of encrypted userinfo is encrypted."""
    userinfo_encrypted_response_enc: Encoding | None = None
    """How its content is; A128CBC-HS256 if unset."""
    authorization_signed_response_alg: OneOrMore[Algorithm] = []
    """The only algorithms of a signed answer (JARM); those of the ID token if unset."""
    authorization_encrypted_response_alg: EncryptionAlgorithm | None = None
    """How the key of an encrypted answer is encrypted."""
    authorization_encrypted_response_enc: Encoding | None = None
    """How its content is; A128CBC-HS256 if unset."""
    introspection_signed_response_alg: OneOrMore[Algorithm] = []
    """The only algorithms that an introspection answer may be signed with (RFC 9701); unset, it is plain JSON."""
    introspection_encrypted_response_alg: EncryptionAlgorithm | None = None
    """How the key of an encrypted introspection answer is encrypted."""
    introspection_encrypted_response_enc: Encoding | None = None
    """How its content is; A128CBC-HS256 if unset."""
    request_object_encryption_alg: EncryptionAlgorithm | None = None
    """How the key of a request object is encrypted to the provider; unset, it is only signed."""
    request_object_encryption_enc: Encoding | None = None
    """How its content is; A128CBC-HS256 if unset."""
    subject_claim: str = "sub"
    """For `oauth2`, the member of userinfo that names the user for ever: `id` at GitHub."""
    verify_tls: Verification = True
    """Whether the provider's certificate is checked; a path names a CA bundle, false is for experiments."""
    timeout: Annotated[Duration, Field(ge=1, le=30)] = 10
    """How long the provider may be silent, and how long its answer may take."""
    clock_leeway: Annotated[Duration, Field(le=300)] = 60
    """How far the provider's clock may be off."""
    metadata: Mapped[object] = {}
    """Endpoints by hand, under their names in discovery; with the three required ones, discovery is not asked."""
    authorization: AuthorizationModel = AuthorizationModel()
    """What every authorization request asks for."""
    logout: Literal["query", "form_post", "local"] = "query"
    """How a sign-out goes on to the provider: by an address, by a form, which hides the ID token, or not at all."""
    start_parameters: Listed[StartParameter] = ["login_hint", "ui_locales"]
    """Parameters that a link to /oauth2/start may set."""

    @model_validator(mode="before")
    @classmethod
    def _lay_over_registration(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("registration"), str):
            return data
        if data.get("client_id"):
            return data
        try:
            registered = parse_json_object(Path(data["registration"]).read_bytes())
        except OSError:
            raise ValueError("registration is not there yet; `gateway register` makes it") from None
        except GatewayError:
            raise ValueError("registration is not a file that `gateway register` wrote") from None
        return {**{name: registered[name] for name in REGISTERED if registered.get(name) is not None}, **data}

    @model_validator(mode="after")
    def _is_coherent(self) -> ProviderModel:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def constraint(self) -> str:
        """What tokens are bound to: as configured, else as the profile has it."""
        if self.sender_constraint is not None:
            return self.sender_constraint
        return "none" if self.profile is None else "mtls" if self.client_certificate else "dpop"

    @property
    def via(self) -> str:
        """How requests travel: as configured, else as the profile has it."""
        pushed = {"query": "pushed", "signed": "signed_pushed"}
        return (
            self.authorization.via
            if self.profile is None
            else pushed.get(self.authorization.via, self.authorization.via)
        )

    @property
    def auth_method(self) -> str | None:
        """How we authenticate: as configured, else as the profile has it, else None."""
        if self.token_endpoint_auth_method is not None or self.profile is None:
            return self.token_endpoint_auth_method
        return "private_key_jwt" if self.signing_keys else "tls_client_auth"

    @property
    def id_token_algorithms(self) -> tuple[str, ...]:
        """The algorithms that an ID token may be signed with."""
        if self.id_token_signed_response_alg is not None:
            return tuple(self.id_token_signed_response_alg)
        return ("RS256",) if self.profile is None else FAPI_ALGORITHMS

    def own_keys(self, use: str) -> tuple[OwnKey, ...]:
        """Read the key files for a use, `sig` or `enc`; raises `ValueError`."""
        paths = self.signing_keys if use == "sig" else self.decryption_keys
        # A PEM does not say what it is for; where the provider encrypts in one way alone, it is for that.
        algorithm = next(iter(self._asymmetric)) if use == "enc" and len(self._asymmetric) == 1 else None
        files = [load_own_keys(Path(path).read_bytes(), use=use, encryption_algorithm=algorithm) for path in paths]
        keys = tuple(key for file in files for key in file if key.use == use)
        if len({key.kid for key in keys}) != len(keys):
            raise ValueError("two keys have the same kid; give each a kid of its own")
        return keys

    @property
    def _asymmetric(self) -> set[str]:
        algorithms = (
            self.id_token_encrypted_response_alg, self.userinfo_encrypted_response_alg,
            self.authorization_encrypted_response_alg, self.introspection_encrypted_response_alg,
        )  # fmt: skip
        return {one for one in algorithms if one is not None and one.startswith(("RSA", "ECDH"))}

    def _problems(self) -> Iterator[str]:
        method, signed = self.auth_method, self.via.startswith("signed")
        yield from self._problems_of_type()
        yield from self._problems_of_secret()
        equipped = self.client_secret.get_secret_value() or self.signing_keys or self.client_certificate
        if method is None and not equipped:
            yield "client_secret is missing (or set token_endpoint_auth_method: none)"
        if (method == "private_key_jwt" or signed) and not self.signing_keys:
            yield "signing_keys is missing, which private_key_jwt and signed requests need"
        if (method in CERTIFICATE_METHODS or self.constraint == "mtls") and self.client_certificate is None:
            yield "client_certificate is missing, which authentication by TLS and tokens bound to it need"
        if (self.client_certificate is None) != (self.client_certificate_key is None):
            yield "client_certificate and client_certificate_key go together"
        yield from self._problems_of_profile()
        yield from self._problems_of_keys()

    def _problems_of_type(self) -> Iterator[str]:
        if self.type == "openid":
            if "openid" not in self.scope.split():
                yield "scope must contain openid"
            if self.subject_claim != "sub":
                yield "subject_claim is for type: oauth2; with an ID token, sub names the user"
            return
        if self.authorization.response_type != "code" or not self.userinfo:
            yield "type: oauth2 has no ID token: response_type must be code, and userinfo true"
        asked = self.authorization
        checked = {
            "id_token_signed_response_alg": self.id_token_signed_response_alg,
            "id_token_encrypted_response_alg": self.id_token_encrypted_response_alg,
            "authorization.max_age": asked.max_age,
            "authorization.claims": asked.claims,
        }
        for name in (name for name, value in checked.items() if value is not None):
            yield f"{name} is checked by the ID token, and type: oauth2 has none"

    def _problems_of_secret(self) -> Iterator[str]:
        method, size = self.auth_method, len(self.client_secret.get_secret_value().encode("utf-8"))
        if method in SECRET_METHODS and not size:
            yield f"client_secret is missing, which {method} needs"
            return
        agreed = (
            *self.id_token_algorithms, *self.userinfo_signed_response_alg, *self.authorization_signed_response_alg,
            *self.introspection_signed_response_alg, *(["HS256"] if method == "client_secret_jwt" else []),
        )  # fmt: skip
        needed = max(
            (int(algorithm.removeprefix("HS")) // 8 for algorithm in agreed if algorithm[:2] == "HS"), default=0
        )
        if size < needed:  # RFC 7518 3.2
            yield f"client_secret must have {needed} bytes at least for what is signed with it"

    def _problems_of_profile(self) -> Iterator[str]:
        if self.profile is None:
            return
        if self.auth_method not in ("private_key_jwt", *CERTIFICATE_METHODS):
            yield "profile: fapi2 needs private_key_jwt or tls_client_auth"
        if self.constraint == "none":
            yield "profile: fapi2 needs sender_constraint: dpop or mtls"
        if not set(self.id_token_algorithms) <= set(FAPI_ALGORITHMS):
            yield f"profile: fapi2 takes id_token_signed_response_alg of {', '.join(FAPI_ALGORITHMS)} alone"
        if self.authorization.response_type != "code":
            yield "profile: fapi2 takes response_type: code alone"

    def _problems_of_keys(self) -> Iterator[str]:
        try:
            signing, decryption = self.own_keys("sig"), self.own_keys("enc")
        except (OSError, ValueError) as error:
            yield f"signing_keys or decryption_keys cannot be used: {error}"
            return
        if self.signing_keys and not signing:
            yield "signing_keys has no key for signing"
        if self.profile is not None and signing and signing[0].algorithm not in FAPI_ALGORITHMS:
            yield f"profile: fapi2 needs a first signing key for one of {', '.join(FAPI_ALGORITHMS)}"
        if self.introspection_encrypted_response_alg and not self.introspection_signed_response_alg:  # RFC 9701 6
            yield "introspection_encrypted_response_alg needs introspection_signed_response_alg"
        for algorithm in sorted(self._asymmetric - {key.algorithm for key in decryption}):
            yield f"decryption_keys has no key for {algorithm}; write a JWK with that alg, or another algorithm"


REGISTERED = ("client_id", "client_secret", "token_endpoint_auth_method")
"""What a registration supplies."""
