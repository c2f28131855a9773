"""The strict reading of what the provider and the browser send (RFC 8259, RFC 6749 appendix B, RFC 7636)."""

import json

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.messages import (
    MAX_JSON_DEPTH,
    MAX_PARAMETERS,
    MAX_REPLY_BYTES,
    Call,
    Reply,
    base64url,
    form_call,
    json_call,
    json_object,
    parse_json_object,
    raise_if_unavailable,
    s256,
    same_text,
    single_parameters,
)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b"{}", {}, id="empty"),
        pytest.param(b' {"a": [1, 2.5, true, null]} ', {"a": [1, 2.5, True, None]}, id="all kinds"),
        pytest.param(b'{"a": {"b": 1}, "b": {"b": 2}}', {"a": {"b": 1}, "b": {"b": 2}}, id="same name, other object"),
        pytest.param('{"a": "\u00e9"}'.encode(), {"a": "\u00e9"}, id="UTF-8"),
    ],
)
def test_json_objects(text: bytes, value: dict[str, object]) -> None:
    assert parse_json_object(text) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"a"', id="text"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a": 1, "a": 2}', id="duplicate members"),
        pytest.param(b'{"x": {"a": 1, "a": 1}}', id="duplicate members inside"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="duplicate members, one escaped"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b'{"a": -Infinity}', id="minus Infinity"),
        pytest.param(b'{"a": 1e999}', id="number out of range"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="integer of 5000 digits"),
        pytest.param(b'{"a": 1} x', id="text after it"),
        pytest.param(b'{"a": 1}{"a": 2}', id="two objects"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": "\n"}', id="control character in a text"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(nested(MAX_JSON_DEPTH + 1), id="nested too deep"),
        pytest.param(b'{"a":' + b"[" * 500_000, id="nested without an end"),
        pytest.param(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", id="nested deep, but well-formed"),
    ],
)
def test_what_is_no_json_object_of_ours(text: bytes) -> None:
    assert parse_json_object(nested(MAX_JSON_DEPTH - 1))
    with pytest.raises(GatewayError) as error:
        parse_json_object(text)
    assert error.value.code == "provider_answer_invalid"


def test_a_body_of_one_mebibyte_is_read() -> None:
    body = json.dumps({"a": "x" * (MAX_REPLY_BYTES - 9)}).encode("ascii")
    assert len(body) == MAX_REPLY_BYTES
    assert parse_json_object(body).keys() == {"a"}


@pytest.mark.parametrize(
    "media_type",
    [
        pytest.param("application/json", id="JSON"),
        pytest.param("Application/JSON; charset=utf-8", id="case and parameters"),
        pytest.param("application/jwk-set+json", id="JWK set"),
    ],
)
def test_json_media_types(media_type: str) -> None:
    assert json_object(Reply(status=200, headers={"content-type": media_type}, body=b'{"a":1}')) == {"a": 1}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="missing"),
        pytest.param({"content-type": ""}, id="empty"),
        pytest.param({"content-type": "text/html"}, id="HTML"),
        pytest.param({"content-type": "application/jwt"}, id="JWT"),
        pytest.param({"content-type": "application/jsonp"}, id="longer name"),
        pytest.param({"content-type": "text/html; application/json"}, id="JSON as a parameter"),
    ],
)
def test_other_media_types_are_not_read(headers: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as error:
        json_object(Reply(status=200, headers=headers, body=b'{"a":1}'))
    assert error.value.code == "provider_answer_invalid"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_an_outage_is_no_answer(status: int) -> None:
    raise_if_unavailable(Reply(status=200), "the provider")
    with pytest.raises(ProviderUnavailable) as error:
        raise_if_unavailable(Reply(status=status), "the provider")
    assert error.value.code == "provider_unreachable"
    assert error.value.retry_after


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404])
def test_other_statuses_are_answers(status: int) -> None:
    raise_if_unavailable(Reply(status=status), "the provider")


@pytest.mark.parametrize(
    ("encoded", "parameters"),
    [
        pytest.param(b"", {}, id="empty"),
        pytest.param(b"code=a%2Bb+c&state=", {"code": "a+b c", "state": ""}, id="decoded once, blanks kept"),
        pytest.param(b"state=%2525", {"state": "%25"}, id="not decoded twice"),
        pytest.param(b"a=1;b=2", {"a": "1;b=2"}, id="a semicolon separates nothing"),
        pytest.param("a=\u00e9&b=%C3%A9".encode(), {"a": "\u00e9", "b": "\u00e9"}, id="UTF-8"),
    ],
)
def test_parameters(encoded: bytes, parameters: dict[str, str]) -> None:
    assert single_parameters(encoded) == parameters


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"state=a&state=b", id="twice"),
        pytest.param(b"state=a&state=a", id="twice the same"),
        pytest.param(b"state=a&st%61te=b", id="twice, one encoded"),
        pytest.param(b"code=a&code=", id="twice, one blank"),
        pytest.param(b"a=%ff", id="not UTF-8, encoded"),
        pytest.param(b"a=\xff", id="not UTF-8"),
        pytest.param("&".join(f"p{n}=" for n in range(MAX_PARAMETERS + 1)).encode(), id="too many"),
    ],
)
def test_parameters_that_are_refused(encoded: bytes) -> None:
    assert single_parameters(b"code=a&state=b") == {"code": "a", "state": "b"}
    with pytest.raises(GatewayError) as error:
        single_parameters(encoded)
    assert error.value.code == "response_parameter_repeated"


def test_a_form_call_encodes_its_parameters() -> None:
    call = form_call("https://op.example/token", {"a b": "%&+:/;=\u00e9"}.items(), {"Authorization": "Basic eA=="})
    assert call.method == "POST"
    assert call.body == b"a+b=%25%26%2B%3A%2F%3B%3D%C3%A9"
    assert call.headers == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "Authorization": "Basic eA==",
    }


def test_a_json_call_asks_for_json() -> None:
    expected = Call(method="GET", url="https://op.example/x", headers={"Accept": "application/json"})
    assert json_call("https://op.example/x") == expected


def test_calls_and_replies_keep_secrets_out_of_their_repr() -> None:
    call = Call(method="POST", url="https://op.example/token", headers={"Authorization": "s3cret"}, body=b"s3cret")
    assert "s3cret" not in repr(call)
    assert "s3cret" not in repr(Reply(status=200, headers={"x": "s3cret"}, body=b"s3cret"))


def test_base64url_has_no_padding() -> None:
    """RFC 7515 appendix C."""
    assert base64url(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"


def test_s256_of_rfc_7636_appendix_b() -> None:
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("abc", "abc", True, id="equal"),
        pytest.param("\u00e9", "\u00e9", True, id="equal, not ASCII"),
        pytest.param("abc", "abd", False, id="different"),
        pytest.param("abc", "abc1", False, id="longer"),
        pytest.param("abc", "", False, id="empty"),
        pytest.param("\ud800", "\ud801", False, id="lone surrogates"),
    ],
)
def test_same_text(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same
