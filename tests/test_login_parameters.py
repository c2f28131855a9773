"""What a link to the start of a login may ask for (OIDC Core 3.1.2.1): what is configured, and makes sense."""

from collections.abc import Collection, Mapping
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.login_parameters import MAX_LENGTH, allowed_parameters, asked_max_age, strictest, strictest_classes

ALL: Final = ("acr_values", "prompt", "login_hint", "ui_locales", "max_age")


@pytest.mark.parametrize(
    ("asked", "allowed", "picked"),
    [
        pytest.param({"login_hint": "alice", "rd": "/a"}, ALL, {"login_hint": "alice"}, id="what is ours stays out"),
        pytest.param({"login_hint": "a", "prompt": "none"}, ("login_hint",), {"login_hint": "a"}, id="those alone"),
        pytest.param({"redirect_uri": "https://evil.example", "state": "s"}, ALL, {}, id="nothing of the flow"),
        pytest.param({"login_hint": "a"}, (), {}, id="none is allowed"),
        pytest.param({"login_hint": ""}, ALL, {}, id="an empty one is none"),
        pytest.param({"Login_Hint": "a"}, ALL, {}, id="in another case it is another"),
        pytest.param({"login_hint": "zoë@op.example"}, ALL, {"login_hint": "zoë@op.example"}, id="not ASCII"),
        pytest.param({"login_hint": "x" * MAX_LENGTH}, ALL, {"login_hint": "x" * MAX_LENGTH}, id="as long as may be"),
        pytest.param({"prompt": "login consent"}, ALL, {"prompt": "login consent"}, id="two prompts"),
        pytest.param({"prompt": "none"}, ALL, {"prompt": "none"}, id="a silent login"),
        pytest.param({"prompt": " none "}, ALL, {"prompt": "none"}, id="a silent login, with spaces"),
        pytest.param({"max_age": "0"}, ALL, {"max_age": "0"}, id="a login this moment"),
        pytest.param({"max_age": "soon"}, ("prompt",), {}, id="what is not allowed is not judged"),
    ],
)  # fmt: skip
def test_what_a_link_may_ask_for(asked: Mapping[str, str], allowed: Collection[str], picked: Mapping[str, str]) -> None:
    assert allowed_parameters(asked, allowed) == picked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("login_hint", "x" * (MAX_LENGTH + 1), id="too long"),
        pytest.param("login_hint", "x" * 10_000_000, id="10 MB"),
        pytest.param("login_hint", "a\r\nSet-Cookie: x", id="a line break"),
        pytest.param("ui_locales", "de\x00", id="NUL"),
        pytest.param("acr_values", "a\u2028b", id="a line separator"),
        pytest.param("prompt", "sudo", id="an unknown prompt"),
        pytest.param("prompt", "none login", id="OIDC Core 3.1.2.1: none stands alone"),
        pytest.param("prompt", "none none", id="none twice"),
        pytest.param("prompt", "NONE", id="in another case"),
        pytest.param("prompt", "login,consent", id="commas"),
        pytest.param("prompt", "   ", id="nothing but spaces"),
        pytest.param("max_age", "soon", id="no number"),
        pytest.param("max_age", "-1", id="less than nothing"),
        pytest.param("max_age", "+1", id="a sign"),
        pytest.param("max_age", "1.5", id="a fraction"),
        pytest.param("max_age", "1e3", id="an exponent"),
        pytest.param("max_age", " 1", id="a space"),
        pytest.param("max_age", "\u0661", id="a digit that is not ASCII"),
        pytest.param("max_age", "1" * 9, id="centuries"),
    ],
)
def test_a_value_that_no_provider_could_take(name: str, value: str) -> None:
    assert allowed_parameters({"login_hint": "alice", "prompt": "login", "max_age": "60"}, ALL)["max_age"] == "60"
    with pytest.raises(GatewayError) as error:
        allowed_parameters({name: value}, ALL)
    assert error.value.code == "parameter_refused"
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("parameters", "age"),
    [
        pytest.param({"max_age": "300"}, 300, id="a number"),
        pytest.param({"max_age": "0"}, 0, id="zero is not none"),
        pytest.param({"max_age": ""}, None, id="empty"),
        pytest.param({}, None, id="absent"),
    ],
)
def test_max_age_is_read(parameters: Mapping[str, str], age: int | None) -> None:
    assert asked_max_age(parameters) == age


@pytest.mark.parametrize(
    ("ages", "smallest"),
    [
        pytest.param((None, None), None, id="none"),
        pytest.param((300, None, 60), 60, id="the smallest"),
        pytest.param((300, 0), 0, id="zero is the strictest"),
        pytest.param((), None, id="nothing"),
    ],
)
def test_the_strictest_of_several_ages(ages: tuple[int | None, ...], smallest: int | None) -> None:
    assert strictest(*ages) == smallest


@pytest.mark.parametrize(
    ("demanded", "required", "expected"),
    [
        pytest.param((), (), (), id="nothing"),
        pytest.param(("a",), (), ("a",), id="only-demanded"),
        pytest.param((), ("a",), ("a",), id="only-required"),
        pytest.param(("a", "b"), ("b", "c"), ("b",), id="what-both-name"),
        pytest.param(("b", "a"), ("a", "b"), ("a", "b"), id="in-the-order-of-the-configuration"),
        pytest.param(("low",), ("high",), ("high",), id="a-demand-lowers-nothing"),
    ],
)
def test_the_classes_that_satisfy_a_demand_and_the_configuration(
    demanded: tuple[str, ...], required: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert strictest_classes(demanded, required) == expected
