"""WWW-Authenticate: challenges read and written, step-up (RFC 9110 11.6.1, RFC 6750 3, RFC 9470 3)."""

from collections.abc import Mapping

import pytest

from gateway.oidc.challenge import (
    MAX_ACR_LENGTH,
    MAX_ACR_VALUES,
    MAX_CHALLENGES,
    MAX_HEADER_LENGTH,
    MAX_PARAMETERS,
    Challenge,
    StepUp,
    challenge_text,
    parse_challenges,
    step_up_demand,
)

INSUFFICIENT = 'Bearer error="insufficient_user_authentication"'


def read(header: str) -> list[tuple[str, Mapping[str, str]]]:
    return [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(header)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("Bearer", [("bearer", {})], id="scheme alone"),
        pytest.param("Bearer realm=a", [("bearer", {"realm": "a"})], id="token"),
        pytest.param('Bearer realm="a b"', [("bearer", {"realm": "a b"})], id="quoted"),
        pytest.param('Bearer realm=""', [("bearer", {"realm": ""})], id="empty quoted"),
        pytest.param('BEARER Realm="A"', [("bearer", {"realm": "A"})], id="case of names"),
        pytest.param('Bearer a="1", b="2"', [("bearer", {"a": "1", "b": "2"})], id="two parameters"),
        pytest.param('Bearer a="x,y", b="=,"', [("bearer", {"a": "x,y", "b": "=,"})], id="commas within quotes"),
        pytest.param(r'Bearer a="x\"y\\z\q"', [("bearer", {"a": 'x"y\\zq'})], id="escapes"),
        pytest.param(r'Bearer a="x\", b=\"y"', [("bearer", {"a": 'x", b="y'})], id="escaped quotes hide a comma"),
        pytest.param('Bearer a = "1" ,\tb\t=\t2 ', [("bearer", {"a": "1", "b": "2"})], id="odd spacing"),
        pytest.param(",, ,Bearer a=1,,,b=2,", [("bearer", {"a": "1", "b": "2"})], id="empty elements"),
        pytest.param("Bearer   \t a=1", [("bearer", {"a": "1"})], id="several spaces after the scheme"),
        pytest.param(
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
            id="RFC 9110 11.6.1 example",
        ),
        pytest.param("Negotiate, Bearer a=1", [("negotiate", {}), ("bearer", {"a": "1"})], id="two schemes"),
        pytest.param("Negotiate, a=1", [("negotiate", {"a": "1"})], id="a comma after the scheme"),
        pytest.param("Basic YWJj==, DPoP a=1", [("basic", {}), ("dpop", {"a": "1"})], id="token68"),
        pytest.param("Basic abc=", [("basic", {})], id="token68 that looks like a name"),
        pytest.param("Negotiate ab/c+d, a=1", [("negotiate", {"a": "1"})], id="token68 without padding"),
        pytest.param("Bearer a=1, Bearer a=2", [("bearer", {"a": "1"}), ("bearer", {"a": "2"})], id="scheme twice"),
        pytest.param('Bearer a="caf\xe9"', [("bearer", {"a": "caf\xe9"})], id="Latin-1"),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, Mapping[str, str]]]) -> None:
    assert read(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("@@@", [], id="no token"),
        pytest.param("a=1", [], id="parameter without a scheme"),
        pytest.param("a=1, Bearer b=2", [("bearer", {"b": "2"})], id="parameter before the scheme"),
        pytest.param('"Bearer a=1"', [], id="all of it quoted"),
        pytest.param("Bearer a=1, a=2, b=3", [("bearer", {"b": "3"})], id="parameter twice"),
        pytest.param("Bearer a=1, A=1, b=3", [("bearer", {"b": "3"})], id="parameter twice in another case"),
        pytest.param("Bearer a=x y, b=2", [("bearer", {"b": "2"})], id="spaces without quotes"),
        pytest.param('Bearer a="1"x, b=2', [("bearer", {"b": "2"})], id="more after the quotes"),
        pytest.param("Bearer a=, b=2", [("bearer", {"b": "2"})], id="no value"),
        pytest.param("Bearer x=a=b, b=2", [("bearer", {"b": "2"})], id="two equals signs"),
        pytest.param("Bearer a=1, b\xe9=1, c=2", [("bearer", {"a": "1"})], id="name that is no token"),
        pytest.param('Bearer a=1, Evil@ b=1, error="x", DPoP c=2', [("bearer", {"a": "1"}), ("dpop", {"c": "2"})],
                     id="what follows a malformed scheme is nobody's"),
        pytest.param("Bearer foo bar, a=1", [], id="neither token68 nor parameter"),
        pytest.param('Bearer a=1, b="2, DPoP c=3', [("bearer", {"a": "1"})], id="quotes that do not end"),
        pytest.param('Bearer a=1, b="2\\"', [("bearer", {"a": "1"})], id="last quote escaped"),
        pytest.param('Bearer a="x\r\nSet-Cookie: b", b=2', [("bearer", {"b": "2"})], id="line break"),
        pytest.param('Bearer a="\\\n", b=2', [("bearer", {"b": "2"})], id="escaped line break"),
        pytest.param('Bearer a="\x00", b=2', [("bearer", {"b": "2"})], id="NUL"),
        pytest.param('Bearer a="\u20ac", b=2', [("bearer", {"b": "2"})], id="beyond Latin-1"),
        pytest.param("Bearer\r\na=1", [], id="line break after the scheme"),
        pytest.param("Bearer " + "a" * MAX_HEADER_LENGTH, [], id="too long"),
        pytest.param('"' * MAX_HEADER_LENGTH, [], id="quotes alone"),
        pytest.param("\\" * MAX_HEADER_LENGTH, [], id="backslashes alone"),
        pytest.param("," * MAX_HEADER_LENGTH, [], id="commas alone"),
        pytest.param("=" * MAX_HEADER_LENGTH, [], id="equals signs alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_out(header: str, expected: list[tuple[str, Mapping[str, str]]]) -> None:
    assert read(header) == expected


def test_challenges_are_bounded_in_number() -> None:
    schemes = [f"s{number}" for number in range(MAX_CHALLENGES + 1)]
    assert [scheme for scheme, _ in read(", ".join(schemes))] == schemes[:-1]


def test_parameters_are_bounded_in_number() -> None:
    names = [f"p{number}" for number in range(MAX_PARAMETERS + 1)]
    header = "Bearer " + ", ".join(f"{name}=1" for name in names)
    assert read(header) == [("bearer", dict.fromkeys(names[:-1], "1"))]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(INSUFFICIENT, StepUp(), id="no values"),
        pytest.param(f'{INSUFFICIENT}, acr_values="a b"', StepUp(acr_values=("a", "b")), id="acr_values"),
        pytest.param(f'{INSUFFICIENT}, max_age="5"', StepUp(max_age=5), id="max_age quoted"),
        pytest.param(f"{INSUFFICIENT}, max_age=5", StepUp(max_age=5), id="max_age as a token"),
        pytest.param(f"{INSUFFICIENT}, max_age=0", StepUp(max_age=0), id="max_age zero"),
        pytest.param(
            "DPoP error=insufficient_user_authentication, acr_values=myACR", StepUp(acr_values=("myACR",)), id="DPoP"
        ),
        pytest.param(
            f'Basic realm="x", {INSUFFICIENT}, max_age=5, Negotiate', StepUp(max_age=5), id="among other challenges"
        ),
        pytest.param(f'{INSUFFICIENT}, acr_values="a  b a "', StepUp(acr_values=("a", "b")), id="spaces and doubles"),
        pytest.param(f"{INSUFFICIENT}, max_age=-1", StepUp(), id="negative max_age"),
        pytest.param(f'{INSUFFICIENT}, max_age="+1"', StepUp(), id="signed max_age"),
        pytest.param(f'{INSUFFICIENT}, max_age="1.5"', StepUp(), id="fraction in max_age"),
        pytest.param(f'{INSUFFICIENT}, max_age=" 5"', StepUp(), id="space in max_age"),
        pytest.param(f'{INSUFFICIENT}, max_age="\xb2"', StepUp(), id="max_age in another digit"),
        pytest.param(f'{INSUFFICIENT}, max_age="{"9" * 4000}"', StepUp(), id="huge max_age"),
        pytest.param(f"{INSUFFICIENT}, max_age=1, max_age=2", StepUp(), id="max_age twice"),
        pytest.param(f'{INSUFFICIENT}, acr_values="a \xe9 b"', StepUp(acr_values=("a", "b")), id="acr beyond ASCII"),
        pytest.param(f'{INSUFFICIENT}, acr_values="a\tb c"', StepUp(acr_values=("c",)), id="acr with a tab"),
        pytest.param(
            f'{INSUFFICIENT}, acr_values="{"a" * (MAX_ACR_LENGTH + 1)} b"', StepUp(acr_values=("b",)), id="long acr"
        ),
    ],
)
def test_rfc9470_demands(header: str, expected: StepUp) -> None:
    assert step_up_demand(header) == expected


def test_rfc9470_acr_values_are_bounded_in_number() -> None:
    values = [f"a{number}" for number in range(MAX_ACR_VALUES + 1)]
    demand = step_up_demand(f'{INSUFFICIENT}, acr_values="{" ".join(values)}"')
    assert demand == StepUp(acr_values=tuple(values[:-1]))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="nothing"),
        pytest.param("Bearer", id="no error"),
        pytest.param('Bearer error="invalid_token", acr_values="a"', id="another error"),
        pytest.param('Bearer error="INSUFFICIENT_USER_AUTHENTICATION"', id="error in another case"),
        pytest.param("Basic error=insufficient_user_authentication", id="another scheme"),
        pytest.param('Bearer realm="error=insufficient_user_authentication"', id="within a quoted string"),
        pytest.param('Bearer realm="x\\", error=insufficient_user_authentication"', id="behind an escaped quote"),
        pytest.param(f"{INSUFFICIENT}, error=invalid_token", id="error twice"),
        pytest.param("insufficient_user_authentication", id="as a scheme"),
        pytest.param(f'{INSUFFICIENT}, realm="{"x" * MAX_HEADER_LENGTH}"', id="too long"),
    ],
)
def test_rfc9470_no_demand(header: str) -> None:
    assert step_up_demand(INSUFFICIENT) == StepUp()
    assert step_up_demand(header) is None


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({}, "Bearer", id="RFC 6750 3.1: no parameters"),
        pytest.param({"realm": "a b"}, 'Bearer realm="a b"', id="one"),
        pytest.param(
            {"error": "insufficient_user_authentication", "acr_values": "x y", "max_age": "5"},
            'Bearer error="insufficient_user_authentication", acr_values="x y", max_age="5"',
            id="RFC 9470 3",
        ),
        pytest.param({"realm": 'a"b\\c'}, r'Bearer realm="a\"b\\c"', id="quote and backslash"),
        pytest.param({"realm": ""}, 'Bearer realm=""', id="empty"),
        pytest.param({"realm": 'x", error="y'}, r'Bearer realm="x\", error=\"y"', id="no parameter slips in"),
    ],
)
def test_challenges_of_our_own(parameters: Mapping[str, str], expected: str) -> None:
    text = challenge_text("Bearer", parameters)
    assert text == expected
    assert parse_challenges(text) == (Challenge(scheme="bearer", parameters=parameters),)


@pytest.mark.parametrize(
    ("scheme", "parameters"),
    [
        pytest.param("Bearer", {"realm": "a\r\nSet-Cookie: b=c"}, id="line break"),
        pytest.param("Bearer", {"realm": "a\x00"}, id="NUL"),
        pytest.param("Bearer", {"realm": "a\x7f"}, id="DEL"),
        pytest.param("Bearer", {"realm": "\xe9"}, id="beyond ASCII"),
        pytest.param("Bearer", {"re alm": "a"}, id="name with a space"),
        pytest.param("Bearer", {"": "a"}, id="no name"),
        pytest.param("Bearer", {"realm\n": "a"}, id="name with a line break"),
        pytest.param("Bea rer", {}, id="scheme with a space"),
        pytest.param("", {}, id="no scheme"),
    ],
)
def test_challenges_that_are_not_written(scheme: str, parameters: Mapping[str, str]) -> None:
    assert challenge_text("Bearer", {"realm": "a"}) == 'Bearer realm="a"'
    with pytest.raises(ValueError, match=r"token|printable"):
        challenge_text(scheme, parameters)
