"""The authorization request, plain, signed, pushed (RFC 6749 4.1.1, 7636, 9101, 9126; H7, H8, P1, P2, P11)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from gateway.errors import GatewayError, ProviderBusy, ProviderUnavailable, TooManyRequests
from gateway.oidc.authorization_request import (
    MAX_REQUEST_URI,
    Asked,
    Parameters,
    Via,
    authorization_parameters,
    authorization_url,
    by_reference,
    process_pushed_reply,
    pushed_call,
    signed_request,
)
from gateway.oidc.client import Client
from gateway.oidc.client_auth import AUTH_METHODS
from gateway.oidc.jose import KeySet, process_encryption_jwks
from gateway.oidc.jwe import decrypt
from gateway.oidc.keys import OwnKey
from gateway.oidc.messages import Moment, Reply, s256
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.transaction import Transaction
from oidc.keys import JSON_HEADERS, json_reply, public_jwk, rsa_key
from oidc.parties import (
    CREDENTIALS,
    ISSUER,
    METADATA,
    NOW,
    SECRET,
    TRANSACTION,
    checked_claims,
    decryption_key,
    form,
    form_pairs,
    new_moment,
    signing_key,
)

CLIENT: Final = Client(
    client_id="c 1%&+:/;",
    client_secret=SECRET,
    token_endpoint_auth_method="client_secret_post",
    signing_keys=(signing_key("PS256"),),
    has_certificate=True,
    redirect_uri="https://app.example/oauth2/callback?p=op",
    post_logout_redirect_uri="https://app.example/",
    scope="openid profile",
)
PUSHING: Final = replace(METADATA, pushed_authorization_request_endpoint="https://op.example/par")
DETAILS: Final = '[{"type":"account","actions":["read"]}]'
CLAIMS: Final = '{"id_token":{"auth_time":{"essential":true},"acr":null},"userinfo":{"email":null}}'
NOTHING_MORE: Final = Asked()
FULL_CLIENT: Final = replace(CLIENT, response_mode="form_post")
FULL_TRANSACTION: Final = replace(TRANSACTION, max_age=0, acr_values=("gold", "silver"))
FULL_ASKED: Final = Asked(claims=CLAIMS, authorization_details=DETAILS)
HONEST: Final = {
    "response_type": "code",
    "client_id": "c 1%&+:/;",
    "redirect_uri": "https://app.example/oauth2/callback?p=op",
    "scope": "openid profile",
    "state": "st",
    "nonce": "no",
    "code_challenge": s256("cv"),
    "code_challenge_method": "S256",
}


def parameters_of(
    client: Client = CLIENT,
    transaction: Transaction = TRANSACTION,
    asked: Asked = NOTHING_MORE,
    extra: Mapping[str, str] | None = None,
    jkt: str | None = None,
) -> Parameters:
    return authorization_parameters(client, transaction, asked, extra or {}, jkt=jkt)


def sent(transaction: Transaction, extra: Mapping[str, str], metadata: ProviderMetadata = METADATA) -> dict[str, str]:
    return single(authorization_url(metadata, parameters_of(transaction=transaction, extra=extra)))


def single(url: str) -> dict[str, str]:
    parameters = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values())
    return {name: values[0] for name, values in parameters.items()}


def full(asked: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    parameters = parameters_of(FULL_CLIENT, FULL_TRANSACTION, replace(FULL_ASKED, parameters=asked), extra, jkt="jkt")
    assert len(dict(parameters)) == len(parameters)
    return dict(parameters)


def test_h7_h8_the_authorization_request() -> None:
    assert sent(TRANSACTION, {}) == HONEST


def test_p2_all_that_a_request_can_ask_for() -> None:
    assert full({"ui_locales": "de"}, {"login_hint": "u"}) == {
        **HONEST,
        "response_mode": "form_post",
        "max_age": "0",
        "acr_values": "gold silver",
        "claims": CLAIMS,
        "authorization_details": DETAILS,
        "dpop_jkt": "jkt",
        "ui_locales": "de",
        "login_hint": "u",
    }


def test_the_verifier_is_not_in_the_request() -> None:
    assert "cv" not in sent(TRANSACTION, {}).values()


def test_extra_parameters_are_added() -> None:
    assert sent(TRANSACTION, {"login_hint": "a&b=c", "acr_values": "1 2"}).items() >= {
        ("login_hint", "a&b=c"),
        ("acr_values", "1 2"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "max_age",
    ],
)
def test_extra_parameters_replace_nothing_that_protects_the_flow(name: str) -> None:
    transaction = replace(TRANSACTION, max_age=0)
    honest = sent(transaction, {})
    assert honest["max_age"] == "0"
    assert sent(transaction, {name: "evil"}) == honest


@pytest.mark.parametrize("place", ["asked", "extra", "both"])
@pytest.mark.parametrize(
    "name",
    [
        *("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"),
        *("code_challenge_method", "max_age", "acr_values", "claims", "authorization_details", "dpop_jkt"),
        *("request", "request_uri", "resource", "sub", "client_secret", "client_assertion", "client_assertion_type"),
    ],
)
def test_nothing_replaces_what_protects_the_flow(name: str, place: str) -> None:
    evil = {name: '["evil"]'}
    assert full({}, {})["state"] == "st"
    assert full(evil if place != "extra" else {}, evil if place != "asked" else {}) == full({}, {})


@pytest.mark.parametrize("name", ["response_mode", "max_age", "dpop_jkt", "claims", "authorization_details", "scope"])
def test_what_we_do_not_ask_for_is_not_asked_for_by_others(name: str) -> None:
    parameters = parameters_of(replace(CLIENT, scope=""), asked=Asked(parameters={name: "evil"}), extra={name: "evil"})
    assert name not in dict(parameters)


@pytest.mark.parametrize(
    ("demanded", "extra", "asked", "acr_values"),
    [
        pytest.param(("gold",), {"acr_values": "bronze"}, {"acr_values": "tin"}, "gold", id="what the page demands"),
        pytest.param((), {"acr_values": "bronze"}, {"acr_values": "tin"}, "bronze", id="what the link asks for"),
        pytest.param((), {}, {"acr_values": "tin"}, "tin", id="what is configured"),
        pytest.param((), {}, {}, None, id="nothing"),
    ],
)
def test_the_acr_values_that_win(
    demanded: tuple[str, ...], extra: dict[str, str], asked: dict[str, str], acr_values: str | None
) -> None:
    transaction = replace(TRANSACTION, acr_values=demanded)
    parameters = parameters_of(transaction=transaction, asked=Asked(parameters=asked), extra=extra)
    assert dict(parameters).get("acr_values") == acr_values


def test_rfc8707_a_resource_each() -> None:
    client = replace(CLIENT, resource=("https://a.example/?x=1", "https://b.example/"))
    query = urlsplit(authorization_url(METADATA, parameters_of(client))).query
    resources = [value for name, value in parse_qsl(query, strict_parsing=True) if name == "resource"]
    assert resources == ["https://a.example/?x=1", "https://b.example/"]


def test_an_endpoint_with_a_query_keeps_it() -> None:
    metadata = replace(METADATA, authorization_endpoint="https://op.example/authorize?tenant=1")
    assert sent(TRANSACTION, {}, metadata).items() >= {("tenant", "1"), ("state", "st")}


@pytest.mark.parametrize(
    ("via", "signed", "pushed"),
    [
        pytest.param(Via.QUERY, False, False, id="query"),
        pytest.param(Via.PUSHED, False, True, id="pushed"),
        pytest.param(Via.SIGNED, True, False, id="signed"),
        pytest.param(Via.SIGNED_PUSHED, True, True, id="signed and pushed"),
    ],
)
def test_the_ways_of_a_request(via: Via, signed: bool, pushed: bool) -> None:
    assert (via.signed, via.pushed) == (signed, pushed)


def sign_request(
    parameters: Parameters,
    client: Client = CLIENT,
    moment: Moment | None = None,
    encryption_keys: KeySet = (),
) -> Parameters:
    return signed_request(METADATA, client, parameters, moment or new_moment(), encryption_keys)


def request_claims(
    parameters: Parameters, client: Client = CLIENT, moment: Moment | None = None
) -> tuple[dict[str, object], dict[str, object]]:
    return checked_claims(dict(sign_request(parameters, client, moment))["request"], client.signing_keys[0])


@pytest.mark.parametrize(
    ("acr", "demanded", "essential"),
    [
        pytest.param({"values": ["silver"]}, (), {"values": ["silver"]}, id="as-configured"),
        pytest.param({"value": "silver"}, ("gold",), {"essential": True, "values": ["gold"]}, id="value"),
        pytest.param({"essential": True, "values": ["a"]}, ("b",), {"essential": True, "values": ["b"]}, id="values"),
    ],
)
def test_a_class_is_asked_for_in_one_way_alone(
    acr: Mapping[str, object], demanded: tuple[str, ...], essential: Mapping[str, object]
) -> None:
    asked = Asked(claims=json.dumps({"id_token": {"acr": acr, "email": None}}), parameters={"acr_values": "bronze"})
    parameters = dict(parameters_of(transaction=replace(TRANSACTION, acr_values=demanded), asked=asked))
    assert json.loads(parameters["claims"]) == {"id_token": {"acr": essential, "email": None}}
    assert "acr_values" not in parameters


def test_p11_the_request_object() -> None:
    """RFC 9101 4, RFC 8707 2, RFC 9396 2: everything is in it, numbers and objects as such."""
    client = replace(FULL_CLIENT, resource=("https://a.example/", "https://b.example/"))
    header, claims = request_claims(parameters_of(client, FULL_TRANSACTION, FULL_ASKED, {"login_hint": "7"}, "jkt"))
    jti = claims.pop("jti")
    assert header == {"typ": "oauth-authz-req+jwt", "alg": "PS256", "kid": "s1"}
    assert claims == {
        **HONEST,
        "response_mode": "form_post",
        "max_age": 0,
        "acr_values": "gold silver",
        "claims": json.loads(CLAIMS),
        "authorization_details": json.loads(DETAILS),
        "resource": ["https://a.example/", "https://b.example/"],
        "dpop_jkt": "jkt",
        "login_hint": "7",
        "iss": "c 1%&+:/;",
        "aud": ISSUER,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
    }
    assert isinstance(jti, str)
    assert len(jti) == 32


def test_one_resource_is_a_list_too() -> None:
    client = replace(CLIENT, resource=("https://a.example/",))
    assert request_claims(parameters_of(client), client)[1]["resource"] == ["https://a.example/"]


def test_p11_a_request_object_lives_for_an_hour_at_most() -> None:
    _, claims = request_claims(parameters_of())
    exp, nbf = claims["exp"], claims["nbf"]
    assert isinstance(exp, int)
    assert isinstance(nbf, int)
    assert 0 < exp - nbf <= 3600


@pytest.mark.parametrize("name", ["request", "request_uri", "sub"])
def test_p11_a_request_object_is_neither_nested_nor_an_assertion(name: str) -> None:
    """RFC 9101 4 and 10.8, however it is asked for."""
    assert name not in request_claims(parameters_of())[1]
    evil = parameters_of(asked=Asked(parameters={name: CLIENT.client_id}), extra={name: CLIENT.client_id})
    assert name not in request_claims(evil)[1]


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "nbf", "iat", "jti", "client_id", "state", "redirect_uri"])
def test_nothing_replaces_the_claims_of_a_request_object(name: str) -> None:
    evil = parameters_of(asked=Asked(parameters={name: "evil"}), extra={name: "evil"})
    assert request_claims(evil)[1] == request_claims(parameters_of())[1]


def test_a_parameter_is_not_read_as_json_unless_it_is() -> None:
    _, claims = request_claims(parameters_of(extra={"login_hint": '{"a":1}', "ui_locales": "17"}))
    assert (claims["login_hint"], claims["ui_locales"]) == ('{"a":1}', "17")


def test_every_request_object_has_a_jti_of_its_own() -> None:
    moment = new_moment()
    assert len({str(request_claims(parameters_of(), moment=moment)[1]["jti"]) for _ in range(3)}) == 3


def test_rfc9101_5_what_stays_outside_a_request_object() -> None:
    outer = sign_request(parameters_of(FULL_CLIENT, FULL_TRANSACTION, FULL_ASKED, {"login_hint": "u"}, "jkt"))
    assert [name for name, _ in outer] == ["response_type", "client_id", "scope", "request"]
    assert dict(outer).items() >= {name: HONEST[name] for name in ("response_type", "client_id", "scope")}.items()
    assert dict(outer)["request"].count(".") == 2


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA", "RS256"])
def test_p4_the_key_says_with_what_a_request_is_signed(algorithm: str) -> None:
    client = replace(CLIENT, signing_keys=(signing_key(algorithm),))
    header, _ = request_claims(parameters_of(client), client)
    assert header["alg"] == algorithm


@pytest.mark.parametrize(
    ("algorithm", "encoding"),
    [
        pytest.param("RSA-OAEP-256", "A128CBC-HS256", id="RSA-OAEP-256"),
        pytest.param("RSA-OAEP", "A256GCM", id="RSA-OAEP"),
        pytest.param("ECDH-ES", "A128GCM", id="ECDH-ES"),
        pytest.param("ECDH-ES+A256KW", "A256CBC-HS512", id="ECDH-ES+A256KW"),
    ],
)
def test_p11_an_encrypted_request_object(algorithm: str, encoding: str) -> None:
    """RFC 9101 6.1: signed, then encrypted, to the `kid` of the provider's key."""
    client = replace(CLIENT, request_object_encryption=(algorithm, encoding))
    theirs = decryption_key(algorithm, "op-enc", owner="op")
    other = decryption_key(algorithm, "decoy", owner="attacker")
    outer = dict(sign_request(parameters_of(client), client, encryption_keys=published(theirs)))
    raw = outer["request"]
    inner = decrypt(raw, algorithm=algorithm, encoding=encoding, keys=(theirs,))
    assert checked_claims(inner, client.signing_keys[0])[1].items() >= HONEST.items()
    assert outer.keys() == {"response_type", "client_id", "scope", "request"}
    with pytest.raises(GatewayError) as error:
        decrypt(raw, algorithm=algorithm, encoding=encoding, keys=(replace(other, kid="op-enc"),))
    assert error.value.code == "jwe_decryption_failed"


def published(*keys: OwnKey) -> KeySet:
    return process_encryption_jwks(json_reply({"keys": [dict(key.public_jwk()) for key in keys]}))


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((), id="none"),
        pytest.param(published(decryption_key("ECDH-ES", owner="op")), id="of another type"),
        pytest.param(published(decryption_key("RSA-OAEP", owner="op")), id="for another algorithm"),
        pytest.param(
            process_encryption_jwks(json_reply({"keys": [public_jwk(rsa_key("op"), {"use": "sig"})]})),
            id="for signatures",
        ),
    ],
)
def test_a_request_that_cannot_be_encrypted_is_not_sent_in_the_clear(keys: KeySet) -> None:
    client = replace(CLIENT, request_object_encryption=("RSA-OAEP-256", "A128CBC-HS256"))
    good = published(decryption_key("RSA-OAEP-256", owner="op"))
    assert dict(sign_request(parameters_of(client), client, encryption_keys=good))["request"].count(".") == 4
    with pytest.raises(GatewayError) as error:
        sign_request(parameters_of(client), client, encryption_keys=keys)
    assert error.value.code == "metadata_lacking"


def test_p1_the_push() -> None:
    call = pushed_call(PUSHING, CLIENT, parameters_of(), new_moment())
    assert (call.method, call.url) == ("POST", "https://op.example/par")
    assert form(call) == {**HONEST, **CREDENTIALS, "client_id": "c 1%&+:/;"}
    assert "request_uri" not in form(call)


def test_rfc9126_3_beside_a_request_object_we_only_say_who_we_are() -> None:
    call = pushed_call(PUSHING, CLIENT, sign_request(parameters_of()), new_moment())
    sent_form = form(call)
    assert sent_form.keys() == {"request", *CREDENTIALS}
    assert checked_claims(sent_form["request"], CLIENT.signing_keys[0])[1].items() >= HONEST.items()


@pytest.mark.parametrize("method", AUTH_METHODS)
@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_a_push_names_us_once_however_we_authenticate(method: str, signed: bool) -> None:
    client = replace(CLIENT, token_endpoint_auth_method=method)
    wanted = sign_request(parameters_of(client), client) if signed else parameters_of(client)
    pairs = form_pairs(pushed_call(PUSHING, client, wanted, new_moment()))
    assert len(dict(pairs)) == len(pairs)
    assert dict(pairs)["client_id"] == CLIENT.client_id


def test_a_push_repeats_a_resource_and_nothing_else() -> None:
    client = replace(CLIENT, resource=("https://a.example/", "https://b.example/"))
    pairs = form_pairs(pushed_call(PUSHING, client, parameters_of(client), new_moment()))
    assert [value for name, value in pairs if name == "resource"] == ["https://a.example/", "https://b.example/"]
    others = [name for name, _ in pairs if name != "resource"]
    assert len(set(others)) == len(others)


def test_p3_p11_a_request_object_and_the_assertion_beside_it_have_a_jti_each() -> None:
    client, moment = replace(CLIENT, token_endpoint_auth_method="private_key_jwt"), new_moment()
    sent_form = form(pushed_call(PUSHING, client, sign_request(parameters_of(client), client, moment), moment))
    jtis = {
        str(checked_claims(sent_form[name], client.signing_keys[0])[1]["jti"])
        for name in ("request", "client_assertion")
    }
    assert len(jtis) == 2


def test_a_provider_that_takes_no_push() -> None:
    with pytest.raises(GatewayError) as error:
        pushed_call(METADATA, CLIENT, parameters_of(), new_moment())
    assert error.value.code == "metadata_lacking"


def test_k8_a_push_goes_to_the_alias_for_clients_with_a_certificate() -> None:
    metadata = replace(
        PUSHING, mtls_endpoint_aliases={"pushed_authorization_request_endpoint": "https://mtls.op.example/par"}
    ).with_certificate()
    call = pushed_call(metadata, CLIENT, parameters_of(), new_moment())
    assert call.url == "https://mtls.op.example/par"
    assert call.mutual_tls


def test_p1_nothing_but_the_reference_travels_through_the_browser() -> None:
    url = authorization_url(METADATA, by_reference(CLIENT, "urn:x:a b&state=evil"))
    assert single(url) == {"client_id": CLIENT.client_id, "request_uri": "urn:x:a b&state=evil"}


PUSHED: Final[Mapping[str, object]] = {"request_uri": "urn:ietf:params:oauth:request_uri:bwc4JK", "expires_in": 60}


def answer_code(reply: Reply) -> str:
    with pytest.raises(GatewayError) as error:
        process_pushed_reply(reply)
    return error.value.code


@pytest.mark.parametrize("status", [201, 200])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="RFC9126-2.2 honest"),
        pytest.param({"expires_in": 0.5}, id="a fraction"),
        pytest.param({"unknown_member": {"a": [1]}}, id="an unknown member"),
        pytest.param({"request_uri": "https://op.example/r/1?x=%20"}, id="an address"),
        pytest.param({"request_uri": "x" * MAX_REQUEST_URI}, id="of the greatest length"),
    ],
)
def test_pushed_replies(status: int, changes: dict[str, object]) -> None:
    members = {**PUSHED, **changes}
    assert process_pushed_reply(json_reply(members, status)) == members["request_uri"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"request_uri": None}, id="request_uri missing"),
        pytest.param({"request_uri": ""}, id="request_uri empty"),
        pytest.param({"request_uri": ["urn:x"]}, id="request_uri in a list"),
        pytest.param({"request_uri": {"uri": "urn:x"}}, id="request_uri is an object"),
        pytest.param({"request_uri": 1}, id="request_uri is a number"),
        pytest.param({"request_uri": "urn:\r\nX: y"}, id="request_uri with CR LF"),
        pytest.param({"request_uri": "urn:\x00"}, id="request_uri with NUL"),
        pytest.param({"request_uri": "urn:\u00e9"}, id="request_uri is not ASCII"),
        pytest.param({"request_uri": "\ud800"}, id="request_uri is half a character"),
        pytest.param({"request_uri": "x" * (MAX_REQUEST_URI + 1)}, id="request_uri is too long"),
        pytest.param({"request_uri": "x" * 10_000_000}, id="request_uri of 10 MB"),
        pytest.param({"expires_in": None}, id="expires_in missing"),
        pytest.param({"expires_in": 0}, id="expires_in zero"),
        pytest.param({"expires_in": -1}, id="expires_in negative"),
        pytest.param({"expires_in": True}, id="expires_in is a boolean"),
        pytest.param({"expires_in": "60"}, id="expires_in is a text"),
        pytest.param({"expires_in": [60]}, id="expires_in in a list"),
        pytest.param({"request_uri": None, "error": "invalid_request"}, id="an error with a success's status"),
    ],
)
def test_pushed_replies_that_are_refused(changes: dict[str, object]) -> None:
    assert process_pushed_reply(json_reply(PUSHED, 201))
    assert answer_code(json_reply({**PUSHED, **changes}, 201)) == "pushed_answer_invalid"


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        pytest.param(400, "invalid_request", GatewayError, "pushed_request_refused", id="invalid_request"),
        pytest.param(400, "invalid_scope", GatewayError, "pushed_request_refused", id="invalid_scope"),
        pytest.param(400, "invalid_request_object", GatewayError, "pushed_request_refused", id="RFC9101-7"),
        pytest.param(400, "invalid_dpop_proof", GatewayError, "pushed_request_refused", id="RFC9449-5"),
        pytest.param(401, "invalid_client", ProviderUnavailable, "token_client_invalid", id="invalid_client"),
        pytest.param(400, "unauthorized_client", ProviderUnavailable, "token_client_invalid", id="unauthorized_client"),
        pytest.param(403, "access_denied", GatewayError, "pushed_request_refused", id="access_denied"),
        pytest.param(405, None, GatewayError, "pushed_request_refused", id="no error named"),
        pytest.param(413, ["invalid_client"], GatewayError, "pushed_request_refused", id="error in a list"),
        pytest.param(400, "x" * 10_000_000, GatewayError, "pushed_request_refused", id="error of 10 MB"),
        pytest.param(302, "invalid_request", GatewayError, "pushed_request_refused", id="redirect"),
        pytest.param(202, None, GatewayError, "pushed_request_refused", id="another success"),
        pytest.param(500, "server_error", ProviderUnavailable, "provider_unreachable", id="outage"),
        pytest.param(503, None, ProviderBusy, "provider_unreachable", id="RFC9126-2.3 busy"),
        pytest.param(429, "invalid_client", TooManyRequests, "provider_unreachable", id="RFC9126-2.3 too many"),
    ],
)
def test_errors_of_a_push(status: int, error: object, kind: type[GatewayError], code: str) -> None:
    """A `request_uri` beside an error is not used."""
    with pytest.raises(GatewayError) as failure:
        process_pushed_reply(json_reply({**PUSHED, "error": error}, status))
    assert type(failure.value) is kind
    assert failure.value.code == code
    assert len(failure.value.detail) < 200


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"content-type": "text/html"}, b"<h1>Welcome</h1>", id="HTML"),
        pytest.param({}, json.dumps(PUSHED).encode(), id="no media type"),
        pytest.param(JSON_HEADERS, b"", id="empty"),
        pytest.param(JSON_HEADERS, b'["urn:x"]', id="list"),
        pytest.param(
            JSON_HEADERS, b'{"request_uri":"urn:a","request_uri":"urn:b","expires_in":60}', id="request_uri twice"
        ),
        pytest.param(JSON_HEADERS, b'{"request_uri":"urn:a","expires_in":NaN}', id="NaN"),
        pytest.param(JSON_HEADERS, b'{"request_uri":"urn:a","expires_in":1e999}', id="without end"),
    ],
)
@pytest.mark.parametrize("status", [201, 400])
def test_pushed_replies_that_cannot_be_read(headers: Mapping[str, str], body: bytes, status: int) -> None:
    assert answer_code(Reply(status=status, headers=headers, body=body)) == "provider_answer_invalid"


def test_a_request_without_a_scope_says_nothing_of_it() -> None:
    parameters = parameters_of(replace(CLIENT, scope=""))
    assert "scope" not in dict(parameters)
    assert "scope" not in dict(sign_request(parameters))
