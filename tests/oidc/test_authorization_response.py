"""The authorization response (RFC 6749 4.1.2, RFC 9207, JARM; A16-A19, A23-A30, FX and the iss matrix 1.13)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.authorization_response import (
    AuthorizationResponse,
    ReceivedResponse,
    check_authorization_response,
    error_problem,
    read_response,
)
from gateway.oidc.client import Client, Protection
from gateway.oidc.jose import KeySet
from gateway.oidc.metadata import ProviderMetadata
from oidc.encryption import encrypted
from oidc.keys import SigningKey, compact, ec_key, encode, key_set, public_jwk, rsa_key, signed_claims, tampered
from oidc.parties import CLIENT, ISSUER, LEEWAY, METADATA, NOW, SECRET, TRANSACTION, decryption_key

ADVERTISING: Final = replace(METADATA, authorization_response_iss_parameter_supported=True)
POSTING: Final = replace(CLIENT, response_mode="form_post")
HYBRID: Final = replace(POSTING, response_type="code id_token")
SIGNED: Final = Protection(algorithms=("ES256",))
JARM: Final = replace(CLIENT, response_mode="query.jwt", authorization_response=SIGNED)
KEYS: Final = key_set(public_jwk(ec_key("op"), {"kid": "k1"}), public_jwk(rsa_key("op"), {"kid": "k1"}))
MISSING: Final = object()
"""The value of a claim that is left out."""


def respond(
    parameters: Mapping[str, str],
    metadata: ProviderMetadata = METADATA,
    client: Client = CLIENT,
    keys: KeySet = (),
) -> AuthorizationResponse:
    posted = (client.response_mode or "").startswith("form_post")
    received = read_response(parameters, client, posted=posted)
    return check_authorization_response(received, TRANSACTION, metadata=metadata, client=client, keys=keys, now=NOW)


def check_code(
    parameters: Mapping[str, str], metadata: ProviderMetadata = METADATA, client: Client = CLIENT, keys: KeySet = ()
) -> str:
    with pytest.raises(GatewayError) as error:
        respond(parameters, metadata, client, keys)
    return error.value.code


def test_an_honest_response() -> None:
    response = respond({"state": "st", "code": "co", "session_state": "x"})
    assert response.code == "co"
    assert response.id_token is None
    assert response.transaction is TRANSACTION
    assert "'co'" not in repr(response)


def test_what_was_received_stays_out_of_the_repr() -> None:
    assert "s3cret" not in repr(read_response({"state": "s3cret", "code": "s3cret"}, CLIENT, posted=False))


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        pytest.param({"code": "co"}, "response_state_missing", id="A19 no state"),
        pytest.param({"code": "co", "state": ""}, "response_state_missing", id="A19 empty state"),
        pytest.param({"code": "co", "state": "st1"}, "response_state_mismatch", id="A18 another state"),
        pytest.param({"code": "co", "state": "ST"}, "response_state_mismatch", id="A18 another case"),
        pytest.param({"code": "co", "state": "\u00e9"}, "response_state_mismatch", id="A18 not ASCII"),
        pytest.param({"code": "co", "state": "s" * 10_000_000}, "response_state_mismatch", id="A18 10 MB"),
        pytest.param({"error": "access_denied"}, "response_state_missing", id="error without state"),
        pytest.param({"error": "access_denied", "state": "x"}, "response_state_mismatch", id="error of another state"),
        pytest.param({"state": "st"}, "response_code_missing", id="no code"),
        pytest.param({"state": "st", "code": ""}, "response_code_missing", id="empty code"),
        pytest.param({"state": "st", "code": "\u00e9"}, "response_code_missing", id="RFC6749-A.11 code is not ASCII"),
        pytest.param({"state": "st", "code": "a\r\nb"}, "response_code_missing", id="RFC6749-A.11 code with CR LF"),
        pytest.param({"state": "st", "code": "a\x00"}, "response_code_missing", id="RFC6749-A.11 code with NUL"),
        pytest.param({"state": "st", "error": "access_denied"}, "op_access_denied", id="error"),
        pytest.param({"state": "st", "code": "co", "error": "access_denied"}, "op_access_denied", id="error and code"),
        pytest.param({"state": "st", "code": "co", "error": ""}, "op_refused", id="empty error and code"),
    ],
)
def test_responses_that_are_refused(parameters: dict[str, str], code: str) -> None:
    assert respond({"state": "st", "code": "co"}).code == "co"
    assert check_code(parameters) == code


@pytest.mark.parametrize(
    ("mode", "posted"),
    [
        pytest.param(None, False, id="query, which is the default"),
        pytest.param("query", False, id="query"),
        pytest.param("form_post", True, id="F1 form_post"),
    ],
)
def test_a_response_comes_in_the_way_that_was_asked_for(mode: str | None, posted: bool) -> None:
    """Form Post 2: one way alone, and the other one is refused."""
    client = replace(CLIENT, response_mode=mode)
    parameters = {"state": "st", "code": "co"}
    assert read_response(parameters, client, posted=posted).state == "st"
    with pytest.raises(GatewayError) as error:
        read_response(parameters, client, posted=not posted)
    assert error.value.code == "response_mode_mismatch"


@pytest.mark.parametrize(("mode", "posted"), [("query.jwt", False), ("form_post.jwt", True)])
def test_a_signed_response_comes_in_the_way_that_was_asked_for(mode: str, posted: bool) -> None:
    client = replace(JARM, response_mode=mode)
    parameters = {"response": jwt({})}
    assert read_response(parameters, client, posted=posted).state == "st"
    with pytest.raises(GatewayError) as error:
        read_response(parameters, client, posted=not posted)
    assert error.value.code == "response_mode_mismatch"


def test_fx_an_error_in_a_form() -> None:
    error = {"state": "st", "error": "login_required", "error_description": "<b>"}
    assert check_code(error, client=POSTING) == "op_interaction_required"


@pytest.mark.parametrize(
    ("metadata", "members"),
    [
        pytest.param(ADVERTISING, {"iss": ISSUER}, id="advertised and right"),
        pytest.param(METADATA, {}, id="not advertised and absent"),
        pytest.param(METADATA, {"iss": ISSUER}, id="not advertised and right"),
    ],
)
def test_the_issuer_of_a_response(metadata: ProviderMetadata, members: dict[str, str]) -> None:
    """RFC 9207 2.4."""
    assert respond({"state": "st", "code": "co", **members}, metadata).code == "co"


@pytest.mark.parametrize(
    ("metadata", "members", "code"),
    [
        pytest.param(ADVERTISING, {}, "response_iss_missing", id="A17 advertised and absent"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}1"}, "response_iss_mismatch", id="A16 advertised and wrong"),
        pytest.param(METADATA, {"iss": f"{ISSUER}1"}, "response_iss_mismatch", id="not advertised and wrong"),
        pytest.param(ADVERTISING, {"iss": ""}, "response_iss_mismatch", id="empty"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}/"}, "response_iss_mismatch", id="trailing slash"),
        pytest.param(ADVERTISING, {"iss": "https://OP.example"}, "response_iss_mismatch", id="upper case"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}:443"}, "response_iss_mismatch", id="default port"),
        pytest.param(ADVERTISING, {"iss": "https://%6fp.example"}, "response_iss_mismatch", id="encoded letter"),
        pytest.param(METADATA, {"iss": ""}, "response_iss_mismatch", id="not advertised and empty"),
        pytest.param(METADATA, {"iss": f" {ISSUER}"}, "response_iss_mismatch", id="space before it"),
    ],
)
@pytest.mark.parametrize("outcome", [{"code": "co"}, {"error": "access_denied"}], ids=["code", "error"])
def test_a_response_of_another_issuer_is_refused(
    metadata: ProviderMetadata, members: dict[str, str], code: str, outcome: dict[str, str]
) -> None:
    """RFC 9207 2.4, for responses that report an error too."""
    honest = {"state": "st", "code": "co", "iss": ISSUER}
    assert respond(honest, metadata).code == "co"
    assert check_code({"state": "st", **outcome, **members}, metadata) == code


def test_a_response_belongs_to_the_provider_of_its_transaction() -> None:
    """RFC 9700 4.4.2: the mix-up of two providers."""
    other = replace(METADATA, issuer="https://evil.example")
    assert check_code({"state": "st", "code": "co"}, other) == "response_iss_mismatch"
    assert check_code({"state": "st", "code": "co", "iss": "https://evil.example"}, other) == "response_iss_mismatch"


def test_the_state_is_checked_before_the_issuer() -> None:
    """Nothing is said about a response that is not of this browser."""
    assert check_code({"state": "x", "iss": "evil", "error": "access_denied"}) == "response_state_mismatch"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param("access_denied", "op_access_denied", id="the user pressed Cancel"),
        pytest.param("login_required", "op_interaction_required", id="FX login_required"),
        pytest.param("interaction_required", "op_interaction_required", id="interaction_required"),
        pytest.param("consent_required", "op_interaction_required", id="consent_required"),
        pytest.param("account_selection_required", "op_interaction_required", id="account_selection_required"),
        pytest.param("temporarily_unavailable", "op_temporarily_unavailable", id="temporarily_unavailable"),
        pytest.param("server_error", "op_temporarily_unavailable", id="server_error"),
        pytest.param("invalid_request", "op_request_refused", id="RFC6749-4.1.2.1 invalid_request"),
        pytest.param("unauthorized_client", "op_request_refused", id="RFC6749-4.1.2.1 unauthorized_client"),
        pytest.param("unsupported_response_type", "op_request_refused", id="RFC6749-4.1.2.1 unsupported_response_type"),
        pytest.param("invalid_scope", "op_request_refused", id="invalid_scope"),
        pytest.param("invalid_request_uri", "op_request_refused", id="Core-3.1.2.6 invalid_request_uri"),
        pytest.param("invalid_request_object", "op_request_refused", id="Core-3.1.2.6 invalid_request_object"),
        pytest.param("request_not_supported", "op_request_refused", id="Core-3.1.2.6 request_not_supported"),
        pytest.param("request_uri_not_supported", "op_request_refused", id="Core-3.1.2.6 request_uri_not_supported"),
        pytest.param("registration_not_supported", "op_request_refused", id="Core-3.1.2.6 registration_not_supported"),
        pytest.param("invalid_target", "op_request_refused", id="RFC8707-2"),
        pytest.param("invalid_authorization_details", "op_request_refused", id="RFC9396-5"),
        pytest.param("invalid_dpop_proof", "op_request_refused", id="RFC9449-5"),
        pytest.param("invalid_client", "op_request_refused", id="invalid_client"),
        pytest.param("unmet_authentication_requirements", "op_authentication_unmet", id="unmet_authentication"),
        pytest.param("<script>", "op_refused", id="what nobody specified"),
        pytest.param("ACCESS_DENIED", "op_refused", id="another case"),
        pytest.param("access_denied ", "op_refused", id="a space after it"),
        pytest.param("x" * 10_000_000, "op_refused", id="10 MB"),
    ],
)
def test_errors_of_the_authorization_endpoint(error: str, code: str) -> None:
    assert error_problem(error).code == code
    with pytest.raises(GatewayError) as failure:
        respond({"state": "st", "error": error})
    assert failure.value.code == code
    assert len(failure.value.detail) < 200


def test_only_the_check_makes_a_response() -> None:
    with pytest.raises(TypeError):
        AuthorizationResponse(code="co", transaction=TRANSACTION, checked=object())


@pytest.mark.parametrize("metadata", [METADATA, ADVERTISING], ids=["not advertised", "advertised"])
def test_a_hybrid_response_may_say_its_issuer_in_the_id_token_alone(metadata: ProviderMetadata) -> None:
    """RFC 9207 2.4; the ID token's `iss` is checked before the code is used."""
    response = respond({"state": "st", "code": "co", "id_token": "a.b.c"}, metadata, HYBRID)
    assert (response.code, response.id_token) == ("co", "a.b.c")
    assert "a.b.c" not in repr(response)


@pytest.mark.parametrize("metadata", [METADATA, ADVERTISING], ids=["not advertised", "advertised"])
def test_a_hybrid_response_of_another_issuer_is_refused(metadata: ProviderMetadata) -> None:
    parameters = {"state": "st", "code": "co", "id_token": "a.b.c"}
    assert respond({**parameters, "iss": ISSUER}, metadata, HYBRID).code == "co"
    assert check_code({**parameters, "iss": f"{ISSUER}/"}, metadata, HYBRID) == "response_iss_mismatch"


def test_an_id_token_that_was_not_asked_for_does_not_stand_for_the_issuer() -> None:
    assert check_code({"state": "st", "code": "co", "id_token": "a.b.c"}, ADVERTISING) == "response_iss_missing"


def test_a_hybrid_response_in_the_query_is_refused() -> None:
    with pytest.raises(GatewayError) as error:
        read_response({"state": "st", "code": "co", "id_token": "a.b.c"}, HYBRID, posted=False)
    assert error.value.code == "response_mode_mismatch"


SIGNED_HONEST: Final[Mapping[str, object]] = {
    "iss": ISSUER,
    "aud": "c1",
    "exp": NOW + 600,
    "state": "st",
    "code": "co",
    "unknown_claim": {"a": [1]},
}


def jwt(changes: Mapping[str, object], key: SigningKey | None = None, algorithm: str = "ES256", kid: str = "k1") -> str:
    claims = {name: value for name, value in {**SIGNED_HONEST, **changes}.items() if value is not MISSING}
    return signed_claims({"alg": algorithm, "kid": kid}, claims, key or ec_key("op"))


def signed(raw: str, **beside: str) -> AuthorizationResponse:
    return respond({"response": raw, **beside}, client=JARM, keys=KEYS)


def signed_code(raw: str, client: Client = JARM) -> str:
    return check_code({"response": raw}, client=client, keys=KEYS)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="honest"),
        pytest.param({"aud": ["c1"]}, id="aud as a list of us"),
        pytest.param({"exp": NOW - LEEWAY + 1}, id="exp within the leeway"),
        pytest.param({"exp": NOW + 0.5}, id="exp with a fraction"),
        pytest.param({"session_state": "x", "scope": "openid"}, id="more parameters"),
    ],
)
def test_signed_responses_that_pass(changes: dict[str, object]) -> None:
    assert signed(jwt(changes)).code == "co"


@pytest.mark.parametrize("metadata", [METADATA, ADVERTISING], ids=["not advertised", "advertised"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"iss": MISSING}, "response_iss_missing", id="A23 no iss"),
        pytest.param({"iss": None}, "response_iss_missing", id="A23 iss is null"),
        pytest.param({"iss": [ISSUER]}, "response_iss_missing", id="A23 iss in a list"),
        pytest.param({"iss": f"{ISSUER}1"}, "response_iss_mismatch", id="A24 another iss"),
        pytest.param({"iss": f"{ISSUER}/"}, "response_iss_mismatch", id="A24 iss with a slash"),
        pytest.param({"iss": ""}, "response_iss_mismatch", id="A24 empty iss"),
        pytest.param({"aud": MISSING}, "response_aud_mismatch", id="A25 no aud"),
        pytest.param({"aud": None}, "response_aud_mismatch", id="A25 aud is null"),
        pytest.param({"aud": "c11"}, "response_aud_mismatch", id="A26 another aud"),
        pytest.param({"aud": "C1"}, "response_aud_mismatch", id="A26 aud in another case"),
        pytest.param({"aud": []}, "response_aud_mismatch", id="A26 empty list"),
        pytest.param({"aud": ["c1", "c2"]}, "response_aud_mismatch", id="A26 somebody else too"),
        pytest.param({"aud": {"c1": True}}, "response_aud_mismatch", id="A26 aud is an object"),
        pytest.param({"aud": "c2" * 1000}, "response_aud_mismatch", id="A26 a long aud"),
        pytest.param({"exp": MISSING}, "response_claim_invalid", id="A27 no exp"),
        pytest.param({"exp": None}, "response_claim_invalid", id="A27 exp is null"),
        pytest.param({"exp": str(NOW + 600)}, "response_claim_invalid", id="A27 exp is a text"),
        pytest.param({"exp": True}, "response_claim_invalid", id="A27 exp is a boolean"),
        pytest.param({"exp": [NOW + 600]}, "response_claim_invalid", id="A27 exp in a list"),
        pytest.param({"exp": NOW - 360}, "response_expired", id="A28 exp six minutes ago"),
        pytest.param({"exp": NOW - LEEWAY}, "response_expired", id="A28 exp past the leeway"),
        pytest.param({"exp": NOW - 24 * 3600}, "response_expired", id="A28 of yesterday"),
        pytest.param({"exp": -1}, "response_expired", id="A28 negative exp"),
        pytest.param({"state": MISSING}, "response_state_missing", id="A19 no state"),
        pytest.param({"state": ["st"]}, "response_state_missing", id="A19 state in a list"),
        pytest.param({"state": "st1"}, "response_state_mismatch", id="A18 another state"),
        pytest.param({"state": "\ud800"}, "response_state_mismatch", id="A18 half a character"),
        pytest.param({"code": MISSING}, "response_code_missing", id="no code"),
        pytest.param({"code": 1}, "response_code_missing", id="code is a number"),
        pytest.param({"code": ["co"]}, "response_code_missing", id="code in a list"),
        pytest.param({"code": "\ud800"}, "response_code_missing", id="code is half a character"),
        pytest.param({"error": "access_denied"}, "op_access_denied", id="an error and a code"),
    ],
)
def test_signed_responses_that_are_refused(changes: dict[str, object], code: str, metadata: ProviderMetadata) -> None:
    assert respond({"response": jwt({})}, metadata, JARM, KEYS).code == "co"
    assert check_code({"response": jwt(changes)}, metadata, JARM, KEYS) == code


def none_signed() -> str:
    return encode(b'{"alg":"none"}') + "." + jwt({}).split(".")[1] + "."


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(tampered(jwt({})), "jwt_signature_invalid", id="A29 signature altered"),
        pytest.param(jwt({}, ec_key("attacker")), "jwt_signature_invalid", id="A29 another key"),
        pytest.param(jwt({}, kid="k2"), "jwt_key_unknown", id="another kid"),
        pytest.param(none_signed(), "jwt_alg_refused", id="A30 alg none"),
        pytest.param(jwt({}, rsa_key("op"), "RS256"), "jwt_alg_refused", id="A8 an algorithm that is not pinned"),
        pytest.param(jwt({}, SECRET.encode(), "HS256"), "jwt_alg_refused", id="a MAC that is not pinned"),
        pytest.param(jwt({}).rpartition(".")[0] + ".", "jwt_signature_invalid", id="signature cut off"),
        pytest.param(compact({"alg": "ES256"}, b'["st"]', ec_key("op")), "jwt_malformed", id="payload is a list"),
        pytest.param(
            compact({"alg": "ES256"}, b'{"state":"x","state":"st"}', ec_key("op")), "jwt_malformed", id="state twice"
        ),
        pytest.param(jwt({}).partition(".")[0] + ".%.x", "jwt_malformed", id="payload is not base64url"),
        pytest.param("", "jwt_malformed", id="empty"),
        pytest.param("a.b", "jwt_malformed", id="two parts"),
        pytest.param("\u00e9.b.c", "jwt_malformed", id="not ASCII"),
        pytest.param("a" * 10_000_000 + ".b.c", "jwt_malformed", id="10 MB"),
    ],
)
def test_signed_responses_that_nobody_signed(raw: str, code: str) -> None:
    assert signed(jwt({})).code == "co"
    assert signed_code(raw) == code


def test_an_error_that_nobody_signed_is_not_believed() -> None:
    raw = jwt({"code": MISSING, "error": "access_denied"})
    assert signed_code(raw) == "op_access_denied"
    assert signed_code(tampered(raw)) == "jwt_signature_invalid"


FAULTS: Final[tuple[tuple[dict[str, object], str], ...]] = (
    ({"state": "x"}, "response_state_mismatch"),
    ({"iss": "x"}, "response_iss_mismatch"),
    ({"aud": "x"}, "response_aud_mismatch"),
    ({"exp": 1}, "response_expired"),
    ({}, "jwt_signature_invalid"),
)


@pytest.mark.parametrize("first", range(len(FAULTS)), ids=[code for _, code in FAULTS])
def test_jarm_2_4_the_order_of_the_checks(first: int) -> None:
    """Of all faults from one on, the first is named."""
    changes = {name: value for fault, _ in FAULTS[first:] for name, value in fault.items()}
    assert signed_code(tampered(jwt(changes))) == FAULTS[first][1]


def test_a_hybrid_response_that_is_signed() -> None:
    """Both tokens are in the JWT, which has to name its issuer all the same."""
    client = replace(JARM, response_type="code id_token", response_mode="form_post.jwt")
    response = respond({"response": jwt({"id_token": "a.b.c"})}, ADVERTISING, client, KEYS)
    assert (response.code, response.id_token) == ("co", "a.b.c")
    raw = jwt({"id_token": "a.b.c", "iss": MISSING})
    assert check_code({"response": raw}, ADVERTISING, client, KEYS) == "response_iss_missing"


def test_jarm_parameters_beside_the_jwt_do_not_count() -> None:
    beside = {"state": "x", "code": "evil", "iss": "https://evil.example", "error": "access_denied", "id_token": "e"}
    response = signed(jwt({}), **beside)
    assert (response.code, response.id_token) == ("co", None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        pytest.param("state", "st", "response_state_missing", id="state"),
        pytest.param("iss", ISSUER, "response_iss_missing", id="iss"),
        pytest.param("code", "co", "response_code_missing", id="code"),
        pytest.param("aud", "c1", "response_aud_mismatch", id="aud"),
    ],
)
def test_jarm_parameters_beside_the_jwt_make_up_for_nothing(name: str, value: str, code: str) -> None:
    parameters = {"response": jwt({name: MISSING}), name: value}
    assert check_code(parameters, client=JARM, keys=KEYS) == code


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"state": "st", "code": "co", "iss": ISSUER}, id="plain parameters"),
        pytest.param({"state": "st", "error": "access_denied"}, id="plain error"),
        pytest.param({}, id="nothing"),
    ],
)
def test_jarm_what_is_not_signed_though_it_was_asked_to_be(parameters: dict[str, str]) -> None:
    assert check_code(parameters, client=JARM, keys=KEYS) == "response_mode_mismatch"


def test_a_jwt_that_was_not_asked_for_does_not_count() -> None:
    assert check_code({"response": jwt({})}, keys=KEYS) == "response_state_missing"
    assert respond({"response": jwt({"code": "evil"}), "state": "st", "code": "co"}, keys=KEYS).code == "co"


def test_a_signed_response_by_a_mac() -> None:
    """JARM 2.2 with OIDC Core 10.1: the secret is the key, and a public client has none."""
    client = replace(JARM, authorization_response=Protection(algorithms=("HS256",)))
    raw = jwt({}, SECRET.encode(), "HS256")
    assert respond({"response": raw}, client=client).code == "co"
    assert signed_code(tampered(raw), client) == "jwt_signature_invalid"
    assert signed_code(raw, replace(client, client_secret="")) == "jwt_alg_refused"
    assert signed_code(jwt({}, b"", "HS256"), replace(client, client_secret="")) == "jwt_alg_refused"


ENCRYPTED: Final = replace(
    JARM,
    authorization_response=replace(SIGNED, encryption=("RSA-OAEP-256", "A128CBC-HS256")),
    decryption_keys=(decryption_key("RSA-OAEP-256"),),
)


def jwe(text: str, algorithm: str = "RSA-OAEP-256", encoding: str = "A128CBC-HS256", owner: str = "us") -> str:
    return encrypted(text.encode(), algorithm, encoding, rsa_key(owner).public_key()).compact()


def test_an_encrypted_signed_response() -> None:
    """JARM 2.2: decrypted, then checked like any other."""
    assert respond({"response": jwe(jwt({}))}, client=ENCRYPTED, keys=KEYS).code == "co"
    assert signed_code(jwe(jwt({"aud": "c2"})), ENCRYPTED) == "response_aud_mismatch"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(jwt({}), "jwe_not_encrypted", id="JARM-2.4 not encrypted though agreed"),
        pytest.param(jwe(jwt({}), "RSA1_5"), "jwe_alg_refused", id="RSA1_5"),
        pytest.param(jwe(jwt({}), "RSA-OAEP"), "jwe_alg_refused", id="another alg"),
        pytest.param(jwe(jwt({}), encoding="A256GCM"), "jwe_alg_refused", id="another enc"),
        pytest.param(jwe(jwt({}), owner="attacker"), "jwe_decryption_failed", id="for somebody else"),
        pytest.param(jwe(tampered(jwt({}))), "jwt_signature_invalid", id="A29 altered inside"),
        pytest.param(jwe(none_signed()), "jwt_alg_refused", id="A30 alg none inside"),
        pytest.param(jwe('{"state":"st","code":"co"}'), "jwt_malformed", id="nothing signed inside"),
        pytest.param(jwe(jwe(jwt({}))), "jwt_malformed", id="encrypted twice"),
    ],
)
def test_encrypted_responses_that_are_refused(raw: str, code: str) -> None:
    assert respond({"response": jwe(jwt({}))}, client=ENCRYPTED, keys=KEYS).code == "co"
    assert signed_code(raw, ENCRYPTED) == code


def test_an_encrypted_response_that_was_not_agreed() -> None:
    assert signed_code(jwe(jwt({}))) == "jwt_malformed"


def test_a_received_response_is_found_by_its_state() -> None:
    assert ReceivedResponse(parameters={"state": "st"}).state == "st"
    assert read_response({"response": jwt({"state": "other"})}, JARM, posted=False).state == "other"
