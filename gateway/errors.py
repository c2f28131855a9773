"""One page of errors: a stable code, an HTTP status, what the public sees; the detail is for the log alone."""

from __future__ import annotations

from http import HTTPStatus

from gateway.limit_problems import OVERLOADED as OVERLOADED
from gateway.limit_problems import TOO_MANY_LOGINS as TOO_MANY_LOGINS
from gateway.loop_problems import LOGIN_LOOP_CLOCK as LOGIN_LOOP_CLOCK
from gateway.loop_problems import LOGIN_LOOP_COOKIE_LOST as LOGIN_LOOP_COOKIE_LOST
from gateway.loop_problems import LOGIN_LOOP_COOKIE_REPLACED as LOGIN_LOOP_COOKIE_REPLACED
from gateway.loop_problems import LOGIN_LOOP_HOST as LOGIN_LOOP_HOST
from gateway.loop_problems import LOGIN_LOOP_INSECURE as LOGIN_LOOP_INSECURE
from gateway.loop_problems import LOGIN_LOOP_LIFETIME as LOGIN_LOOP_LIFETIME
from gateway.loop_problems import LOGIN_LOOP_REFRESH as LOGIN_LOOP_REFRESH
from gateway.loop_problems import LOGIN_LOOP_REVOKED as LOGIN_LOOP_REVOKED
from gateway.loop_problems import LOGIN_LOOP_STORE_FORGETS as LOGIN_LOOP_STORE_FORGETS
from gateway.loop_problems import LOGIN_LOOP_STORE_SPLIT as LOGIN_LOOP_STORE_SPLIT
from gateway.loop_problems import LOGIN_LOOP_UNREADABLE as LOGIN_LOOP_UNREADABLE
from gateway.loop_problems import TRANSACTION_UNREADABLE as TRANSACTION_UNREADABLE
from gateway.problem import ConnectionLost as ConnectionLost
from gateway.problem import GatewayError as GatewayError
from gateway.problem import InvalidGrant as InvalidGrant
from gateway.problem import Problem as Problem
from gateway.problem import ProviderBusy as ProviderBusy
from gateway.problem import ProviderUnavailable as ProviderUnavailable
from gateway.problem import StoreUnavailable as StoreUnavailable
from gateway.problem import TooManyRequests as TooManyRequests


def _problem(code: str, status: HTTPStatus, title: str, advice: str) -> Problem:
    return Problem(code=code, status=status, title=title, advice=advice)


_AGAIN = "Start again from the page that you wanted to see."
_LATER = "Wait a moment, then reload the page."
_OPERATOR = "Tell the people who run this site; the reference below helps them to find the cause."
_ONCE_MORE = "Sign in once more. If that fails too, tell the people who run this site, with the reference below."
_FIX_REQUEST = "The request is not one that this site accepts. Check the address and try again."
_SIGN_OUT = "Nobody was signed out. Send a logout token that was made for this site and for this moment."


def _refused(code: str, title: str, advice: str = _FIX_REQUEST) -> Problem:
    return _problem(code, HTTPStatus.BAD_REQUEST, title, advice)


def _forbidden(code: str, title: str, advice: str) -> Problem:
    return _problem(code, HTTPStatus.FORBIDDEN, title, advice)


def _foreign(code: str) -> Problem:
    title = "The answer does not belong to this sign-in"
    return _forbidden(code, title, f"Close other tabs in which you were signing in. {_AGAIN}")


def _clocks_differ(code: str) -> Problem:
    return _forbidden(code, "This site's clock and the sign-in service's differ", _OPERATOR)


def _run_out(code: str) -> Problem:
    return _forbidden(code, "This sign-in has run out or was used before", _AGAIN)


def _unusable(code: str) -> Problem:
    return _forbidden(code, "The sign-in service gave an answer that this site cannot use", _ONCE_MORE)


def _unverified(code: str) -> Problem:
    return _forbidden(code, "It could not be verified that the sign-in service answered", _ONCE_MORE)


def _logout_refused(code: str) -> Problem:
    return _refused(code, "The logout token is not acceptable", _SIGN_OUT)


def _token_refused(code: str) -> Problem:
    return _problem(code, HTTPStatus.UNAUTHORIZED, "The access token is not accepted here", "Get a new one.")


def _unavailable(code: str, title: str) -> Problem:
    return _problem(code, HTTPStatus.SERVICE_UNAVAILABLE, title, _LATER)


# What is asked for: a request that is refused before anything is decided about it.
TARGET_MALFORMED = _refused("target_malformed", "The address is malformed")
TARGET_AMBIGUOUS = _refused("target_ambiguous", "The address can be read in two ways")
HOST_INVALID = _refused("host_invalid", "The host name is missing or malformed")
RETURN_URL_REFUSED = _refused("return_url_refused", "The return address is not on this site")
PARAMETER_REFUSED = _refused("parameter_refused", "A parameter is not accepted here")
METHOD_REFUSED = _problem(
    "method_refused", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not accepted here", _FIX_REQUEST
)
REQUEST_BODY_TOO_LARGE = _problem(
    "request_body_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "What was sent is too large", "Send less at once."
)
REQUEST_FIELDS_TOO_LARGE = _problem(
    "request_fields_too_large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too large", _OPERATOR
)
FORWARDING_LOOP = _problem("forwarding_loop", HTTPStatus.LOOP_DETECTED, "The site is set up to call itself", _OPERATOR)

# Policy: who may see what.
LOGIN_REQUIRED = _problem("login_required", HTTPStatus.UNAUTHORIZED, "Please sign in", "Sign in to see this page.")
ACCESS_DENIED = _forbidden("access_denied", "You may not see this page", "Ask its owner for access.")
STEP_UP_REQUIRED = _problem(
    "step_up_required", HTTPStatus.UNAUTHORIZED, "Please confirm who you are", "Sign in once more to see this page."
)
STEP_UP_FAILED = _forbidden(
    "step_up_failed",
    "This page needs a stronger sign-in",
    "The sign-in that was just completed is not strong or recent enough for it. Ask its owner what is needed.",
)
GROUPS_OVERAGE = _forbidden(
    "groups_overage",
    "Your groups could not be read",
    "You are in more groups than the sign-in service sends. Ask the owner of this page to use roles instead.",
)
CROSS_SITE_REFUSED = _forbidden(
    "cross_site_refused", "The request came from another site", "Open the site itself and try there."
)
CSRF_HEADER_MISSING = _forbidden("csrf_header_missing", "The request lacks a field that this site asks for", _OPERATOR)
UNTRUSTED_PEER = _forbidden("untrusted_peer", "This peer may not ask for a decision", _OPERATOR)
NOT_FOUND = _problem("not_found", HTTPStatus.NOT_FOUND, "There is nothing here", "Check the address.")

ADMIN_TOKEN_REQUIRED = _problem(
    "admin_token_required", HTTPStatus.UNAUTHORIZED, "An administrator's token is needed", _OPERATOR
)
NOT_LISTABLE = _problem(
    "not_listable", HTTPStatus.NOT_IMPLEMENTED, "This kind of store cannot list its sessions", _OPERATOR
)

# The transaction and the authorization response.
TRANSACTION_MISSING = _refused(
    "transaction_missing",
    "Your browser did not return the cookie of this sign-in",
    f"Allow cookies for this site, and end a sign-in in the browser that you began it in. {_AGAIN}",
)
TRANSACTION_EXPIRED = _refused("transaction_expired", "The sign-in took too long", _AGAIN)
TRANSACTION_REPEATED = _refused("transaction_repeated", "This sign-in was completed before", _AGAIN)
RESPONSE_PARAMETER_REPEATED = _refused("response_parameter_repeated", "The provider's answer is malformed", _AGAIN)
RESPONSE_MODE_MISMATCH = _refused("response_mode_mismatch", "The provider's answer came in a wrong way", _AGAIN)
RESPONSE_STATE_MISSING = _refused("response_state_missing", "The provider's answer is malformed", _AGAIN)
RESPONSE_STATE_MISMATCH = _foreign("response_state_mismatch")
RESPONSE_ISS_MISSING = _foreign("response_iss_missing")
RESPONSE_ISS_MISMATCH = _foreign("response_iss_mismatch")
RESPONSE_CLAIM_INVALID = _unusable("response_claim_invalid")
RESPONSE_AUD_MISMATCH = _foreign("response_aud_mismatch")
RESPONSE_EXPIRED = _run_out("response_expired")
PROVIDER_UNKNOWN = _refused("provider_unknown", "There is no such sign-in service here", _AGAIN)
RESPONSE_CODE_MISSING = _refused("response_code_missing", "The provider's answer is malformed", _AGAIN)
OP_ACCESS_DENIED = _forbidden("op_access_denied", "The sign-in was refused", "If you pressed Cancel, just try again.")
OP_INTERACTION_REQUIRED = _forbidden("op_interaction_required", "The provider needs you to sign in", _AGAIN)
OP_TEMPORARILY_UNAVAILABLE = _unavailable("op_temporarily_unavailable", "The provider is busy")
OP_REQUEST_REFUSED = _forbidden("op_request_refused", "The provider does not accept this site's request", _OPERATOR)
OP_AUTHENTICATION_UNMET = _forbidden(
    "op_authentication_unmet",
    "The provider cannot sign you in the way that this page needs",
    "Try again with another way to sign in, or ask the owner of this page.",
)
OP_REFUSED = _forbidden("op_refused", "The provider refused the sign-in", _OPERATOR)

# The back channel: what the provider answered.
PROVIDER_UNREACHABLE = _unavailable("provider_unreachable", "The sign-in service cannot be reached")
PROVIDER_ANSWER_INVALID = _unavailable("provider_answer_invalid", "The sign-in service gave a wrong answer")
METADATA_INVALID = _forbidden("metadata_invalid", "The sign-in service is not set up correctly", _OPERATOR)
METADATA_ISSUER_MISMATCH = _forbidden(
    "metadata_issuer_mismatch", "The sign-in service is not the expected one", _OPERATOR
)
METADATA_LACKING = _forbidden("metadata_lacking", "The sign-in service does not offer what this site needs", _OPERATOR)
PUSHED_REQUEST_REFUSED = _forbidden("pushed_request_refused", "The provider refused the sign-in", _OPERATOR)
PUSHED_ANSWER_INVALID = _unusable("pushed_answer_invalid")
TOKEN_GRANT_INVALID = _run_out("token_grant_invalid")
TOKEN_CLIENT_INVALID = _unavailable("token_client_invalid", "The sign-in service does not know this site")
TOKEN_REFUSED = _unusable("token_refused")
TOKEN_ANSWER_INVALID = _unusable("token_answer_invalid")
TOKEN_TYPE_UNSUPPORTED = _unusable("token_type_unsupported")
USERINFO_INVALID = _unusable("userinfo_invalid")
USERINFO_ISS_MISMATCH = _unverified("userinfo_iss_mismatch")
USERINFO_AUD_MISMATCH = _unverified("userinfo_aud_mismatch")
USERINFO_EXPIRED = _clocks_differ("userinfo_expired")
USERINFO_SUB_MISMATCH = _unverified("userinfo_sub_mismatch")

# JOSE and the ID token, in the order of the checks (OIDC Core 3.1.3.7).
JWT_MALFORMED = _unusable("jwt_malformed")
JWT_ALG_REFUSED = _unverified("jwt_alg_refused")
JWT_CRIT_REFUSED = _unverified("jwt_crit_refused")
JWT_KEY_UNKNOWN = _unverified("jwt_key_unknown")
JWT_SIGNATURE_INVALID = _unverified("jwt_signature_invalid")
JWT_TYPE_REFUSED = _unverified("jwt_type_refused")
JWE_ALG_REFUSED = _unusable("jwe_alg_refused")
JWE_NOT_ENCRYPTED = _unusable("jwe_not_encrypted")
JWE_DECRYPTION_FAILED = _unusable("jwe_decryption_failed")
ID_TOKEN_MISSING = _unusable("id_token_missing")
ID_TOKEN_CLAIM_INVALID = _unusable("id_token_claim_invalid")
ID_TOKEN_ISS_MISMATCH = _unverified("id_token_iss_mismatch")
ID_TOKEN_AUD_MISMATCH = _unverified("id_token_aud_mismatch")
ID_TOKEN_AZP_MISMATCH = _unverified("id_token_azp_mismatch")
ID_TOKEN_EXPIRED = _clocks_differ("id_token_expired")
ID_TOKEN_NOT_YET_VALID = _clocks_differ("id_token_not_yet_valid")
ID_TOKEN_TOO_OLD = _clocks_differ("id_token_too_old")
ID_TOKEN_NONCE_MISMATCH = _foreign("id_token_nonce_mismatch")
ID_TOKEN_AUTH_TIME_INVALID = _forbidden(
    "id_token_auth_time_invalid", "The sign-in is not as recent as this page needs", _ONCE_MORE
)
ID_TOKEN_AT_HASH_MISMATCH = _unverified("id_token_at_hash_mismatch")
ID_TOKEN_C_HASH_MISMATCH = _foreign("id_token_c_hash_mismatch")
ID_TOKEN_S_HASH_MISMATCH = _foreign("id_token_s_hash_mismatch")
ID_TOKEN_ACR_MISMATCH = _forbidden(
    "id_token_acr_mismatch",
    "This page needs a stronger sign-in",
    "The provider did not sign you in the way that was asked for. Try again, or ask the owner of this page.",
)
ID_TOKEN_SUB_MISMATCH = _unverified("id_token_sub_mismatch")

# The logout token, in the order of the checks (Back-Channel Logout 1.0 2.6); the provider sees them, no user does.
LOGOUT_TOKEN_TYPE_REFUSED = _logout_refused("logout_token_type_refused")
LOGOUT_TOKEN_SIGNATURE_INVALID = _logout_refused("logout_token_signature_invalid")
LOGOUT_TOKEN_CLAIM_INVALID = _logout_refused("logout_token_claim_invalid")
LOGOUT_TOKEN_ISS_MISMATCH = _logout_refused("logout_token_iss_mismatch")
LOGOUT_TOKEN_AUD_MISMATCH = _logout_refused("logout_token_aud_mismatch")
LOGOUT_TOKEN_NOT_YET_VALID = _logout_refused("logout_token_not_yet_valid")
LOGOUT_TOKEN_TOO_OLD = _logout_refused("logout_token_too_old")
LOGOUT_TOKEN_EXPIRED = _logout_refused("logout_token_expired")
LOGOUT_TOKEN_JTI_INVALID = _logout_refused("logout_token_jti_invalid")
LOGOUT_TOKEN_SUBJECT_MISSING = _logout_refused("logout_token_subject_missing")
LOGOUT_TOKEN_EVENT_INVALID = _logout_refused("logout_token_event_invalid")
LOGOUT_TOKEN_NONCE_REFUSED = _logout_refused("logout_token_nonce_refused")
LOGOUT_TOKEN_REPEATED = _refused("logout_token_repeated", "This logout token was received before", _SIGN_OUT)

# Tokens for an upstream.
TOKEN_INACTIVE = _problem(
    "token_inactive", HTTPStatus.UNAUTHORIZED, "Your session is no longer valid at the sign-in service", _AGAIN
)
INTROSPECTION_INVALID = _problem(
    "introspection_invalid", HTTPStatus.BAD_GATEWAY, "The sign-in service gave a wrong answer", _OPERATOR
)
EXCHANGE_REFUSED = _forbidden("exchange_refused", "The sign-in service gives no access to this application", _OPERATOR)
EXCHANGE_INVALID = _problem(
    "exchange_invalid", HTTPStatus.BAD_GATEWAY, "The sign-in service gave a wrong answer", _OPERATOR
)

# The access token that a client brings, in the order of the checks (RFC 9068 4).
BEARER_MALFORMED = _refused("bearer_malformed", "The Authorization field is malformed")
ACCESS_TOKEN_TYPE_REFUSED = _token_refused("access_token_type_refused")
ACCESS_TOKEN_CLAIM_INVALID = _token_refused("access_token_claim_invalid")
ACCESS_TOKEN_ISS_MISMATCH = _token_refused("access_token_iss_mismatch")
ACCESS_TOKEN_AUD_MISMATCH = _token_refused("access_token_aud_mismatch")
ACCESS_TOKEN_EXPIRED = _token_refused("access_token_expired")
ACCESS_TOKEN_NOT_YET_VALID = _token_refused("access_token_not_yet_valid")
ACCESS_TOKEN_BOUND = _token_refused("access_token_bound")
ACCESS_TOKEN_REVOKED = _token_refused("access_token_revoked")
INVALID_TOKEN = _token_refused("invalid_token")

# Registration, which only the command line meets.
REGISTRATION_REFUSED = _problem(
    "registration_refused", HTTPStatus.BAD_GATEWAY, "The provider refused the registration", _OPERATOR
)
REGISTRATION_INVALID = _problem(
    "registration_invalid", HTTPStatus.BAD_GATEWAY, "The provider's answer to the registration is malformed", _OPERATOR
)

# Sessions.
STORE_DOWN = _unavailable("store_down", "Sessions cannot be looked up at the moment")
SESSION_REVOKED = _forbidden("session_revoked", "You were signed out while you were signing in", _AGAIN)
SESSION_TOO_LARGE = _forbidden(
    "session_too_large", "The sign-in service says more about you than this site can keep", _OPERATOR
)
SESSION_BUSY = _unavailable("session_busy", "Your session is being renewed")
SESSION_TOKEN_EXPIRED = _unavailable("session_token_expired", "Your session cannot be renewed at the moment")

# The upstream, each saying which part failed.
UPSTREAM_UNREACHABLE = _problem(
    "upstream_unreachable", HTTPStatus.BAD_GATEWAY, "The application behind this site cannot be reached", _LATER
)
UPSTREAM_CONNECT_TIMEOUT = _problem(
    "upstream_connect_timeout", HTTPStatus.GATEWAY_TIMEOUT, "The application does not accept connections", _LATER
)
UPSTREAM_READ_TIMEOUT = _problem(
    "upstream_read_timeout", HTTPStatus.GATEWAY_TIMEOUT, "The application does not answer in time", _LATER
)
UPSTREAM_ANSWER_INVALID = _problem(
    "upstream_answer_invalid", HTTPStatus.BAD_GATEWAY, "The application gave an answer that is not HTTP", _OPERATOR
)
UPGRADE_UNSUPPORTED = _problem(
    "upgrade_unsupported",
    HTTPStatus.NOT_IMPLEMENTED,
    "This server cannot pass on WebSockets",
    "Run the gateway under gunicorn's threaded worker, which can.",
)
TUNNELS_FULL = _unavailable("tunnels_full", "There are too many open connections")
REQUEST_INCOMPLETE = _refused("request_incomplete", "The request ended too early")

# Ourselves.
STORE_PER_PROCESS = _problem(
    "store_per_process", HTTPStatus.INTERNAL_SERVER_ERROR, "This site is not set up correctly", _OPERATOR
)
INTERNAL = _problem(
    "internal_error", HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong in the gateway", _OPERATOR
)
