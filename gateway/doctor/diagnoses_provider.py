"""What may be found of a provider: a page of kinds, in the order in which they are looked for."""

from __future__ import annotations

from gateway.doctor.finding import Diagnosis, failed, ok, skipped, warning

# The way there.
PROXY_IGNORED = warning(
    "proxy_ignored",
    "{variable} is set, and the provider is not reached: the gateway takes no proxy from the environment.",
    "Let this machine reach the host of provider.issuer directly.",
)

# Its metadata.
DISCOVERY_OK = ok("discovery_ok", "{url} describes the provider {issuer}.")
DISCOVERY_BY_HAND = ok("discovery_by_hand", "All endpoints are in provider.metadata, so discovery is not asked.")
DISCOVERY_SKIPPED = skipped("discovery_skipped")
DISCOVERY_FAILED = failed(
    "discovery_failed",
    "{url} could not be fetched: {detail}.",
    "Look at the provider's own log, or raise provider.timeout.",
)
DISCOVERY_FAILING = failed(
    "discovery_failing", "{url} answers {status}.", "Wait until the provider is well, and look at its own log."
)
DISCOVERY_NOT_FOUND = failed(
    "discovery_not_found",
    "{url} answers {status}.",
    "Correct provider.issuer: it is no page, and often ends in the path of a realm or tenant.",
)
DISCOVERY_REFUSED = failed(
    "discovery_refused",
    "{url} answers {status}.",
    "Let this machine through to that address, or correct provider.issuer.",
)
DISCOVERY_REDIRECTED = failed(
    "discovery_redirected",
    "{url} redirects to {location}, which is not followed.",
    "Set provider.issuer to the provider's own name for itself, which is where the redirect leads if it is meant.",
)
DISCOVERY_NOT_JSON = failed(
    "discovery_not_json",
    "{url} answers with {media_type} instead of JSON.",
    "Correct provider.issuer: it is the issuer identifier, and not the address of a page.",
)
ISSUER_SLASH = failed(
    "issuer_slash",
    "provider.issuer is {configured}, and the provider calls itself {discovered}: they differ by the last slash.",
    "Set provider.issuer to {discovered}, to the letter.",
)
ISSUER_SCHEME = failed(
    "issuer_scheme",
    "provider.issuer is {configured}, and the provider calls itself {discovered}: they differ by http and https.",
    "Set provider.issuer to {discovered}; if that is http, tell the provider its public address first.",
)
ISSUER_MISMATCH = failed(
    "issuer_mismatch",
    "provider.issuer is {configured}, and the provider calls itself {discovered}.",
    "Set provider.issuer to {discovered} if that is the provider that you mean, else tell it its public address.",
)
METADATA_UNUSABLE = failed(
    "metadata_unusable",
    "The provider's metadata cannot be used: {detail}.",
    "Mend them at the provider, or lay the right value over them in provider.metadata.",
)

# Its clock.
CLOCK_OK = ok("clock_ok", "The provider's clock differs from ours by {skew} s at most.")
CLOCK_UNKNOWN = skipped("clock_skipped")
CLOCK_DIFFERS = failed(
    "clock_differs",
    "The provider's clock is {skew} s {direction} ours, and provider.clock_leeway is {leeway} s.",
    "Have both clocks set by NTP; provider.clock_leeway forgives 5m at most.",
)

# Its keys.
JWKS_OK = ok("jwks_ok", "{url} has {count} keys to check signatures with, for {algorithms} among others.")
JWKS_SKIPPED = skipped("jwks_skipped")
JWKS_FAILED = failed(
    "jwks_failed",
    "{url} could not be fetched: {detail}.",
    "Let this machine through to it, or correct provider.metadata.",
)
JWKS_UNUSABLE = failed(
    "jwks_unusable", "{url} has no key set: {detail}.", "Mend the provider's jwks_uri, or correct provider.metadata."
)
JWKS_EMPTY = failed(
    "jwks_empty", "{url} has no key that signatures can be checked with.", "Have the provider make a signing key."
)
JWKS_LACKS_ALGORITHM = failed(
    "jwks_lacks_algorithm",
    "{url} has no key for {wanted}; its keys are for {offered}.",
    "Set {key} to an algorithm that the provider has a key for.",
)
JWKS_LACKS_ENCRYPTION = failed(
    "jwks_lacks_encryption",
    "{url} has no key that something could be encrypted to by {wanted}.",
    "Unset provider.request_object_encryption_alg, or have the provider publish such a key.",
)

# What it offers.
FEATURES_OK = ok("features_ok", "Whatever the configuration asks for is on the provider's lists.")
FEATURES_SKIPPED = skipped("features_skipped")


def _lacking(code: str, what: str, remedy: str) -> Diagnosis:
    cause = f"The configuration wants {what} {{wanted}}, and the provider's {{member}} names {{offered}}."
    return failed(code, cause, remedy)


CODE_FLOW_NOT_OFFERED = _lacking(
    "code_flow_not_offered", "response_type", "Allow the authorization code flow at the provider."
)
GRANT_NOT_OFFERED = _lacking("grant_not_offered", "the grant type", "Allow that grant type at the provider.")
RESPONSE_MODE_NOT_OFFERED = _lacking(
    "response_mode_not_offered", "response_mode", "Set provider.authorization.response_mode to one that is offered."
)
S256_NOT_OFFERED = _lacking("s256_not_offered", "PKCE by", "Allow PKCE with S256 at the provider; we use no other.")
AUTH_METHOD_NOT_OFFERED = _lacking(
    "auth_method_not_offered", "authentication by", "Set provider.token_endpoint_auth_method to one that is offered."
)
AUTH_ALG_NOT_OFFERED = _lacking(
    "auth_alg_not_offered", "assertions signed by", "Put a key for an offered algorithm first in provider.signing_keys."
)
ID_TOKEN_ALG_NOT_OFFERED = _lacking(
    "id_token_alg_not_offered",
    "ID tokens signed by",
    "Set provider.id_token_signed_response_alg to an algorithm that is offered.",
)
USERINFO_ALG_NOT_OFFERED = _lacking(
    "userinfo_alg_not_offered",
    "userinfo signed by",
    "Set provider.userinfo_signed_response_alg to an algorithm that is offered, or unset it.",
)
ANSWER_ALG_NOT_OFFERED = _lacking(
    "answer_alg_not_offered",
    "answers signed by",
    "Set provider.authorization_signed_response_alg to an algorithm that is offered.",
)
INTROSPECTION_ALG_NOT_OFFERED = _lacking(
    "introspection_alg_not_offered",
    "introspection signed by",
    "Set provider.introspection_signed_response_alg to an algorithm that is offered, or unset it.",
)
ENCRYPTION_NOT_OFFERED = _lacking(
    "encryption_not_offered", "encryption by", "Set {key} to what is offered, or unset it."
)
REQUEST_ALG_NOT_OFFERED = _lacking(
    "request_alg_not_offered",
    "request objects signed by",
    "Put a key for an offered algorithm first in provider.signing_keys.",
)
REQUEST_OBJECT_NOT_OFFERED = failed(
    "request_object_not_offered",
    "provider.authorization.via is {wanted}, and the provider says that it takes no request objects (RFC 9101).",
    "Set provider.authorization.via to query or pushed.",
)
REQUEST_OBJECT_REQUIRED = failed(
    "request_object_required",
    "The provider wants signed request objects alone, and provider.authorization.via is {wanted}.",
    "Set provider.authorization.via to signed or signed_pushed, with a key in provider.signing_keys.",
)
PAR_NOT_OFFERED = failed(
    "par_not_offered",
    "provider.authorization.via is {wanted}, and the provider has no pushed_authorization_request_endpoint.",
    "Set provider.authorization.via to query or signed.",
)
DPOP_NOT_OFFERED = failed(
    "dpop_not_offered",
    "provider.sender_constraint is dpop, and dpop_signing_alg_values_supported of the provider names {offered}.",
    "Set provider.sender_constraint to none, or allow DPoP with ES256 at the provider.",
)
MTLS_NOT_OFFERED = warning(
    "mtls_not_offered",
    "provider.sender_constraint is mtls, and the provider does not say that it binds tokens to certificates.",
    "Allow that at the provider, or set provider.sender_constraint to none.",
)
SCOPE_NOT_OFFERED = warning(
    "scope_not_offered",
    "provider.scope has {wanted}, which scopes_supported of the provider does not.",
    "Take it out of provider.scope, unless you know that the provider has it all the same.",
)
OFFLINE_ACCESS_NOT_ASKED = warning(
    "offline_access_not_asked",
    "The provider lists the scope offline_access, and provider.scope does not have it.",
    "Add offline_access to provider.scope if sessions are to outlive their first access token.",
)
ACR_NOT_OFFERED = warning(
    "acr_not_offered",
    "The classes {wanted} are asked for, and acr_values_supported of the provider names {offered}.",
    "Correct provider.authorization.acr_values, or require.acr of the route.",
)
PROMPT_NOT_OFFERED = warning(
    "prompt_not_offered",
    "provider.authorization.prompt is {wanted}, and prompt_values_supported of the provider names {offered}.",
    "Correct provider.authorization.prompt.",
)
CLAIMS_NOT_OFFERED = warning(
    "claims_not_offered",
    "provider.authorization.claims is set, and the provider does not say that it takes the claims parameter.",
    "Unset provider.authorization.claims, unless you know that the provider takes it all the same.",
)
INTROSPECTION_NOT_OFFERED = failed(
    "introspection_not_offered",
    "{path} needs introspection, and the provider has no introspection_endpoint.",
    "Change routes[].token or routes[].bearer, or name the endpoint in provider.metadata.",
)
LOGOUT_OK = ok("logout_ok", "A sign-out can go on to the provider.")
LOGOUT_LOCAL = ok("logout_local", "provider.logout is local: a sign-out ends the session here alone.")
LOGOUT_SKIPPED = skipped("logout_skipped")
LOGOUT_NOT_OFFERED = warning(
    "logout_not_offered",
    "The provider has no end_session_endpoint, so whoever signs out here stays signed in there.",
    "Set provider.logout to local to say that this is meant, or name the endpoint in provider.metadata.",
)

# Who we are there: two questions that prove something without a user.
CLIENT_OK = ok(
    "client_ok", "Asked with a made-up code, the token endpoint knows {client_id} and refuses the code alone."
)
CLIENT_SKIPPED = skipped("client_skipped")
CLIENT_REFUSED = failed(
    "client_refused",
    "Asked with a made-up code, the token endpoint says {error}: it does not know {client_id}, its secret or key, "
    "or {method} is not how it is registered.",
    "Correct provider.client_id, provider.client_secret (or signing_keys) and provider.token_endpoint_auth_method.",
)
CLIENT_NOT_ALLOWED = failed(
    "client_not_allowed",
    "Asked with a made-up code, the token endpoint says {error}: {client_id} may not use the code flow.",
    "Allow the authorization code flow for this client at the provider.",
)
CLIENT_UNCLEAR = warning(
    "client_unclear",
    "Asked with a made-up code, the token endpoint answers {status} {error}, which proves nothing.",
    "Sign in once, and look at the provider's own log if that fails.",
)
REDIRECT_URI_OK = ok(
    "redirect_uri_ok", "Asked without a user (prompt=none), the provider sends the browser back to {redirect_uri}."
)
REDIRECT_URI_SKIPPED = skipped("redirect_uri_skipped")
REDIRECT_URI_REFUSED = failed(
    "redirect_uri_refused",
    "Asked without a user (prompt=none), the provider shows an error page ({status}) instead of sending the browser "
    "back to {redirect_uri}{hint}.",
    "Register {redirect_uri} at the provider for {client_id}, to the letter, or correct public_url and callback_path.",
)
CLIENT_UNKNOWN = failed(
    "client_unknown",
    "Asked without a user (prompt=none), the provider shows an error page ({status}) that says {hint} about "
    "{client_id}.",
    "Correct provider.client_id, or register the client at the provider.",
)
REDIRECT_URI_UNCLEAR = warning(
    "redirect_uri_unclear",
    "Asked without a user (prompt=none), the provider answers {status} and does not send the browser back, "
    "which proves nothing about {redirect_uri}.",
    "See that {redirect_uri} is registered at the provider, to the letter.",
)
REQUEST_REFUSED = failed(
    "request_refused",
    "The provider refuses our authorization request and says {error}.",
    "Correct what the request asks for: provider.scope and provider.authorization, or what this client may do.",
)
REQUEST_OBJECT_REFUSED = failed(
    "request_object_refused",
    "Asked without a user (prompt=none), the provider shows an error page ({status}) to our signed request.",
    "Register at the provider, for {client_id}, the public half of the first of provider.signing_keys, which "
    "jwks.json below prefix shows, and {redirect_uri}.",
)
AUTHORIZATION_ENDPOINT_WRONG = failed(
    "authorization_endpoint_wrong",
    "The authorization endpoint {url} answers {status}.",
    "Correct authorization_endpoint in provider.metadata, or at the provider.",
)
PUSH_REFUSED = failed(
    "push_refused",
    "The provider refuses the pushed request: {detail}.",
    "Register {redirect_uri} for {client_id}, and correct what provider.scope and provider.authorization ask for.",
)
