"""What the provider publishes about itself (OIDC Discovery 3, RFC 8414 2 and the registry that it began)."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from gateway.testing.back_channel import json_response
from gateway.testing.client_auth import ASYMMETRIC_ALGORITHMS, AUTH_METHODS
from gateway.testing.client_metadata import GRANT_TYPES
from gateway.testing.dpop_proof import DPOP_ALGORITHMS
from gateway.testing.faults import Members, altered
from gateway.testing.jwe import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from gateway.testing.parties import CLAIMS_OF_SCOPE
from gateway.testing.request_checks import PROMPTS
from gateway.testing.state import ProviderState

ALIASED = {
    "token_endpoint": "/token",
    "pushed_authorization_request_endpoint": "/par",
    "userinfo_endpoint": "/userinfo",
    "introspection_endpoint": "/introspect",
    "revocation_endpoint": "/revoke",
}
"""The endpoints that have another address for clients with a certificate (RFC 8705 5), and their paths."""

LOGOUT_SUPPORT = (
    "backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
)  # fmt: skip

MTLS = "/mtls"
"""What the path of such an address begins with."""


def discovery(state: ProviderState, _: Request) -> Response:
    """Publish the metadata (OIDC Discovery 3), with response types in odd order and members that nobody knows."""
    members: Members = {
        "issuer": state.issuer,
        "authorization_endpoint": f"{state.base}/authorize",
        "token_endpoint": f"{state.base}/token",
        "userinfo_endpoint": f"{state.base}/userinfo",
        "revocation_endpoint": f"{state.base}/revoke",
        "introspection_endpoint": f"{state.base}/introspect",
        "registration_endpoint": f"{state.base}/register",
        "end_session_endpoint": f"{state.base}/end_session",
        "jwks_uri": f"{state.base}{state.jwks_path}",
        "pushed_authorization_request_endpoint": f"{state.base}/par",
        "response_types_supported": ["id_token code", "code", "token code id_token"],
        "grant_types_supported": list(GRANT_TYPES),
        "subject_types_supported": ["public"],
        "scopes_supported": list(state.scopes),
        "claims_supported": ["sub", *sorted(name for names in CLAIMS_OF_SCOPE.values() for name in names)],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "authorization_response_iss_parameter_supported": state.response_iss,
        **dict.fromkeys(LOGOUT_SUPPORT, True),
        **_request_members(state),
        **_cryptography(state),
        **_mutual_tls(state),
        "x_unknown": {"to_be": ["ignored", None, 1.5]},
    }
    return json_response(200, altered(state.faults.discovery, members))


def _request_members(state: ProviderState) -> Members:
    return {
        "response_modes_supported": ["form_post.jwt", "form_post", "jwt", "query", "query.jwt"],
        "prompt_values_supported": list(PROMPTS),
        "claims_parameter_supported": True,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": False,
        "require_pushed_authorization_requests": state.require_pushed_authorization_requests,
        "require_signed_request_object": state.require_signed_request_object,
        "request_object_signing_alg_values_supported": list(ASYMMETRIC_ALGORITHMS),
        **({} if state.acrs_supported is None else {"acr_values_supported": list(state.acrs_supported)}),
    }


def _cryptography(state: ProviderState) -> Members:
    algorithms = sorted(
        {state.id_token_alg, *state.extra_signing_algs, *(alg for one in state.clients for alg in one.algs)}
    )
    signing = ("id_token_signing_alg", "userinfo_signing_alg", "authorization_signing_alg", "introspection_signing_alg")
    encryption = ["id_token", "userinfo", "authorization", "introspection"]
    return {
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": [*ASYMMETRIC_ALGORITHMS, "HS256"],
        **{f"{name}_values_supported": algorithms for name in signing},
        **{f"{name}_encryption_alg_values_supported": list(KEY_ALGORITHMS) for name in encryption},
        **{
            f"{name}_encryption_enc_values_supported": list(CONTENT_ALGORITHMS)
            for name in (*encryption, "request_object")
        },
        "request_object_encryption_alg_values_supported": list(state.request_object_encryption),
    }


def _mutual_tls(state: ProviderState) -> Members:
    aliases = {name: f"{state.base}{MTLS}{path}" for name, path in ALIASED.items()}
    return {
        "tls_client_certificate_bound_access_tokens": True,
        **({"mtls_endpoint_aliases": aliases} if state.mtls_aliases else {}),
    }
