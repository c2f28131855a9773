"""Dynamic registration: calls and answers (RFC 7591, RFC 7592; CONFORMANCE D6, H3, H13)."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.client import Client
from gateway.oidc.messages import Moment, Reply
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.registration import (
    MAX_ID_LENGTH,
    MAX_SECRET_LENGTH,
    Registration,
    client_credentials_grant,
    delete_call,
    parse_registration,
    process_deletion,
    process_registration,
    read_call,
    registration_call,
    update_call,
)
from oidc.keys import JSON_HEADERS, json_reply

NOW: Final = 1_800_000_000
ISSUER: Final = "https://op.example"
ENDPOINT: Final = f"{ISSUER}/register"
METADATA: Final = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint="https://op.example/authorize",
    token_endpoint="https://op.example/token",
    jwks_uri="https://op.example/jwks",
)
CLIENT: Final = Client(
    client_id="c1",
    client_secret="s3cret",
    token_endpoint_auth_method="client_secret_post",
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
)
MOMENT: Final = Moment(now=NOW, entropy=bytes)
REQUESTED: Final[Mapping[str, object]] = {
    "redirect_uris": ["https://app.example/cb"],
    "token_endpoint_auth_method": "client_secret_basic",
    "client_name": "Caf\xe9",
}
PUNCTUATION: Final = "".join(chr(code) for code in range(0x20, 0x7F))
HONEST: Final[Mapping[str, object]] = {
    "client_id": "new",
    "client_secret": "n3w-s3cret",
    "client_secret_expires_at": 0,
    "client_id_issued_at": NOW,
    "registration_access_token": "r4t",
    "registration_client_uri": "https://op.example/register/new",
    "redirect_uris": ["https://app.example/cb"],
    "scope": "openid",
}


def process(members: Mapping[str, object], status: int = 201) -> Registration:
    return process_registration(json_reply(members, status), REQUESTED, ISSUER)


def process_error(reply: Reply) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        process_registration(reply, REQUESTED, ISSUER)
    return error.value


def without(*names: str) -> dict[str, object]:
    return {member: value for member, value in HONEST.items() if member not in names}


UNMANAGED: Final = without("registration_access_token", "registration_client_uri")


def test_seed_the_initial_access_token_is_a_client_credentials_token() -> None:
    call = client_credentials_grant(METADATA, CLIENT, "dcr", MOMENT)
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert dict(parse_qsl(call.body.decode("ascii"), strict_parsing=True)) == {
        "grant_type": "client_credentials",
        "scope": "dcr",
        "client_id": "c1",
        "client_secret": "s3cret",
    }


@pytest.mark.parametrize(
    ("token", "authorization"),
    [pytest.param("1at", {"Authorization": "Bearer 1at"}, id="with a token"), pytest.param(None, {}, id="open")],
)
def test_rfc7591_3_1_the_request(token: str | None, authorization: dict[str, str]) -> None:
    call = registration_call(ENDPOINT, REQUESTED, token)
    assert (call.method, call.url, json.loads(call.body)) == ("POST", ENDPOINT, REQUESTED)
    assert call.headers == {"Content-Type": "application/json", "Accept": "application/json", **authorization}


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Admin: 1", "a\n", "\u00e9"])
def test_a_token_that_fits_into_no_header(token: str) -> None:
    assert registration_call(ENDPOINT, REQUESTED, "1at").headers["Authorization"] == "Bearer 1at"
    with pytest.raises(GatewayError) as error:
        registration_call(ENDPOINT, REQUESTED, token)
    assert error.value.code == "registration_invalid"


def test_an_honest_answer() -> None:
    registration = process(HONEST)
    assert registration == Registration(
        client_id="new",
        client_secret="n3w-s3cret",
        client_secret_expires_at=None,
        registration_access_token="r4t",
        registration_client_uri="https://op.example/register/new",
        members={**REQUESTED, **HONEST},
    )
    assert "n3w-s3cret" not in repr(registration)
    assert "r4t" not in repr(registration)


def test_a_registration_is_kept_and_read_again() -> None:
    registration = process(HONEST)
    kept = json.loads(json.dumps(dict(registration.members)))
    assert parse_registration(kept, ISSUER) == registration


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"client_secret_expires_at": None}, {"client_secret_expires_at": None}, id="H13 no expiry said"),
        pytest.param({"client_secret_expires_at": NOW}, {"client_secret_expires_at": NOW}, id="expiry"),
        pytest.param({"client_id": PUNCTUATION}, {"client_id": PUNCTUATION}, id="H3 punctuation in the id"),
        pytest.param({"client_secret": PUNCTUATION}, {"client_secret": PUNCTUATION}, id="H3 punctuation in the secret"),
        pytest.param(
            {"token_endpoint_auth_method": "client_secret_post"},
            {"client_secret": "n3w-s3cret"},
            id="another way to send the secret",
        ),
        pytest.param(
            {"registration_access_token": None, "registration_client_uri": None},
            {"registration_access_token": None, "registration_client_uri": None},
            id="RFC 7591 alone",
        ),
    ],
)
def test_answers(members: dict[str, object], expected: dict[str, object]) -> None:
    registration = process({**HONEST, **members})
    assert {name: getattr(registration, name) for name in expected} == expected


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://127.0.0.1:9200/customers/_all", id="address"),
        pytest.param("http://localhost:8443/r/new", id="name"),
        pytest.param("https://127.1/r", id="short-form"),
        pytest.param("https://[::ffff:127.0.0.1]/r", id="mapped"),
    ],
)
def test_a_registration_is_not_managed_on_this_machine_unless_the_issuer_is_here(uri: str) -> None:
    """A provider elsewhere would have the operator's machine ask its own services."""
    answer = json_reply({**HONEST, "registration_client_uri": uri}, 201)
    here = process_registration(answer, REQUESTED, "http://localhost:8443")
    assert here.registration_client_uri == uri
    with pytest.raises(GatewayError) as error:
        process_registration(answer, REQUESTED, ISSUER)
    assert error.value.code == "registration_invalid"
    with pytest.raises(GatewayError):
        parse_registration(here.members, ISSUER)


def test_h13_a_secret_without_its_expiry() -> None:
    assert process(without("client_secret_expires_at")).client_secret_expires_at is None


def test_a_client_that_needs_no_secret() -> None:
    requested = {**REQUESTED, "token_endpoint_auth_method": "private_key_jwt"}
    assert process_registration(json_reply(without("client_secret"), 201), requested, ISSUER).client_secret == ""


def test_a_template_says_how_the_client_authenticates() -> None:
    requested = {"software_id": "t1", "redirect_uris": ["https://app.example/cb"]}
    answer = {**HONEST, "token_endpoint_auth_method": "client_secret_post"}
    registration = process_registration(json_reply(answer, 201), requested, ISSUER)
    assert registration.members["token_endpoint_auth_method"] == "client_secret_post"
    assert registration.members["software_id"] == "t1"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"client_id": None}, id="no client_id"),
        pytest.param({"client_id": ""}, id="empty client_id"),
        pytest.param({"client_id": 1}, id="client_id is a number"),
        pytest.param({"client_id": "a\n"}, id="client_id with LF"),
        pytest.param({"client_id": "\u00e9"}, id="client_id beyond ASCII"),
        pytest.param({"client_id": "x" * (MAX_ID_LENGTH + 1)}, id="client_id is too long"),
        pytest.param({"client_secret": None}, id="no secret for client_secret_basic"),
        pytest.param({"client_secret": ""}, id="empty secret"),
        pytest.param({"client_secret": "a\x00"}, id="secret with NUL"),
        pytest.param({"client_secret": ["s"]}, id="secret is a list"),
        pytest.param({"client_secret": "x" * (MAX_SECRET_LENGTH + 1)}, id="secret is too long"),
        pytest.param({"client_secret_expires_at": "0"}, id="expiry is a text"),
        pytest.param({"client_secret_expires_at": -1}, id="expiry is negative"),
        pytest.param({"client_secret_expires_at": False}, id="expiry is a boolean"),
        pytest.param({"client_secret_expires_at": 1 << 40}, id="expiry is huge"),
        pytest.param({"registration_access_token": None}, id="management without a token"),
        pytest.param({"registration_client_uri": None}, id="management without a URI"),
        pytest.param({"registration_client_uri": "http://op.example/r/new"}, id="management without TLS"),
        pytest.param({"registration_client_uri": "/r/new"}, id="relative management"),
        pytest.param({"registration_client_uri": "https://op.example/r/new#f"}, id="management with a fragment"),
        pytest.param({"registration_client_uri": ["https://op.example/r"]}, id="management is a list"),
        pytest.param({"registration_access_token": "a b"}, id="token with a space"),
        pytest.param({"registration_access_token": "a\r\nX-Admin: 1"}, id="token with CR LF"),
        pytest.param({"redirect_uris": ["https://evil.example/"]}, id="RFC 7591 3.2.1 another redirect URI"),
        pytest.param({"token_endpoint_auth_method": "none"}, id="RFC 7591 3.2.1 no authentication"),
    ],
)
def test_answers_that_are_refused(members: dict[str, object]) -> None:
    assert process(HONEST).client_id == "new"
    assert process_error(json_reply({**HONEST, **members}, 201)).code == "registration_invalid"


def test_the_default_method_needs_a_secret() -> None:
    requested = {"redirect_uris": ["https://app.example/cb"]}
    assert process_registration(json_reply(HONEST, 201), requested, ISSUER).client_secret == "n3w-s3cret"
    with pytest.raises(GatewayError) as error:
        process_registration(json_reply(without("client_secret"), 201), requested, ISSUER)
    assert error.value.code == "registration_invalid"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(json_reply({"error": "invalid_redirect_uri"}, 400), "registration_refused", id="3.2.2"),
        pytest.param(json_reply({"error": "invalid_token"}, 401), "registration_refused", id="token refused"),
        pytest.param(json_reply(HONEST, 400), "registration_refused", id="client with an error's status"),
        pytest.param(json_reply(HONEST, 302), "registration_refused", id="redirect"),
        pytest.param(json_reply(HONEST, 202), "registration_refused", id="not yet"),
        pytest.param(json_reply({"error": ["x"] * 9999}, 400), "registration_refused", id="error is a list"),
        pytest.param(Reply(status=403, headers={"content-type": "text/html"}), "registration_refused", id="HTML"),
        pytest.param(Reply(status=404), "registration_refused", id="not there"),
        pytest.param(json_reply([HONEST], 201), "registration_invalid", id="list"),
        pytest.param(
            Reply(status=201, headers={"content-type": "text/html"}, body=b"{}"), "registration_invalid", id="201, HTML"
        ),
        pytest.param(
            Reply(status=201, headers=JSON_HEADERS, body=b'{"client_id":"a","client_id":"b"}'),
            "registration_invalid",
            id="client_id twice",
        ),
    ],
)
def test_refusals(reply: Reply, code: str) -> None:
    assert process_error(reply).code == code


def test_a_refusal_says_why_in_quotes_and_not_at_length() -> None:
    description = "not this one\r\n" + "x" * 5000
    failure = process_error(json_reply({"error": "invalid_redirect_uri", "error_description": description}, 400))
    assert "'invalid_redirect_uri' 'not this one\\r\\n" in failure.detail
    assert len(failure.detail) < 1000


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage(status: int) -> None:
    failure = process_error(json_reply(HONEST, status))
    assert isinstance(failure, ProviderUnavailable)
    with pytest.raises(ProviderUnavailable):
        process_deletion(Reply(status=status))


def test_rfc7592_2_1_reading() -> None:
    call = read_call(process(HONEST))
    assert (call.method, call.url, call.body) == ("GET", "https://op.example/register/new", b"")
    assert call.headers == {"Accept": "application/json", "Authorization": "Bearer r4t"}


def test_rfc7592_2_2_updating() -> None:
    registration = process(HONEST)
    call = update_call(registration, {**registration.members, "client_id": "another", "client_name": "B"})
    assert (call.method, call.url) == ("PUT", "https://op.example/register/new")
    assert call.headers["Authorization"] == "Bearer r4t"
    assert json.loads(call.body) == {
        "client_id": "new",
        "client_secret": "n3w-s3cret",
        "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        "client_name": "B",
        "scope": "openid",
    }


def test_rfc7592_2_3_deleting() -> None:
    call = delete_call(process(HONEST))
    assert (call.method, call.url, call.body) == ("DELETE", "https://op.example/register/new", b"")
    assert call.headers["Authorization"] == "Bearer r4t"


def test_a_provider_without_management() -> None:
    registration = process(UNMANAGED)
    for build in (read_call, delete_call, lambda unmanaged: update_call(unmanaged, REQUESTED)):
        with pytest.raises(GatewayError) as error:
            build(registration)
        assert error.value.code == "registration_invalid"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(HONEST, {"client_secret": "n3w-s3cret"}, id="all of it"),
        pytest.param({"client_id": "new"}, {"client_secret": "n3w-s3cret", "registration_access_token": "r4t"},
                     id="what is not repeated stays"),
        pytest.param({"client_id": "new", "client_secret": None}, {"client_secret": "n3w-s3cret"}, id="null"),
        pytest.param({"client_id": "new", "registration_access_token": "r5t"}, {"registration_access_token": "r5t"},
                     id="RFC 7592 5 the token is rotated"),
        pytest.param({"client_id": "new", "client_secret": "s2"},
                     {"client_secret": "s2", "client_secret_expires_at": None},
                     id="a new secret does not take the old one's expiry"),
    ],
)  # fmt: skip
def test_rfc7592_3_answers_to_reading_and_updating(answer: Mapping[str, object], expected: dict[str, object]) -> None:
    previous = process({**HONEST, "client_secret_expires_at": NOW})
    registration = process_registration(json_reply(answer), REQUESTED, ISSUER, previous=previous)
    assert {name: getattr(registration, name) for name in expected} == expected


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({**HONEST, "client_id": "another"}, id="another client"),
        pytest.param(without("client_id"), id="no client_id"),
        pytest.param({**HONEST, "registration_client_uri": "http://op.example/r"}, id="moved to where there is no TLS"),
    ],
)
def test_rfc7592_3_answers_that_are_refused(answer: Mapping[str, object]) -> None:
    previous = process(HONEST)
    with pytest.raises(GatewayError) as error:
        process_registration(json_reply(answer), REQUESTED, ISSUER, previous=previous)
    assert error.value.code == "registration_invalid"


@pytest.mark.parametrize("status", [204, 200])
def test_rfc7592_2_3_a_deletion(status: int) -> None:
    process_deletion(Reply(status=status))
    with pytest.raises(GatewayError):
        process_deletion(Reply(status=status + 1))


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405])
def test_rfc7592_2_3_deletions_that_are_refused(status: int) -> None:
    with pytest.raises(GatewayError) as error:
        process_deletion(Reply(status=status))
    assert error.value.code == "registration_refused"


def test_a_kept_registration_that_was_tampered_with() -> None:
    kept = dict(process(HONEST).members)
    assert parse_registration(kept, ISSUER).client_id == "new"
    with pytest.raises(GatewayError) as error:
        parse_registration({**kept, "registration_client_uri": "http://evil.example/"}, ISSUER)
    assert error.value.code == "registration_invalid"
