"""Claims as rules and templates read them (OIDC Core 5.6.2): dotted paths, sets of words, what is kept elsewhere."""

from collections.abc import Mapping
from typing import Final

import pytest

from gateway.claims import claim_at, claim_values, claim_word, is_withheld

NESTED: Final[Mapping[str, object]] = {
    "realm_access": {"roles": ["admin"], "deep": {"er": 7}},
    "text": "x",
    "null": None,
}
NAMESPACED: Final[Mapping[str, object]] = {"https://op.example/claims": {"role": "r", "a.b": 1}, "a.b": {"c": 2}}


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        pytest.param(NESTED, "text", "x", id="a name"),
        pytest.param(NESTED, "realm_access.roles", ["admin"], id="a path"),
        pytest.param(NESTED, "realm_access.deep.er", 7, id="a longer path"),
        pytest.param(NESTED, "realm_access", NESTED["realm_access"], id="an object"),
        pytest.param(NESTED, "null", None, id="null"),
        pytest.param(NESTED, "absent", None, id="absent"),
        pytest.param(NESTED, "realm_access.absent", None, id="absent in an object"),
        pytest.param(NESTED, "absent.roles", None, id="no such object"),
        pytest.param(NESTED, "text.length", None, id="below a text"),
        pytest.param(NESTED, "null.x", None, id="below null"),
        pytest.param(NESTED, "realm_access.roles.0", None, id="lists have no numbers"),
        pytest.param(NESTED, "", None, id="no name"),
        pytest.param(NESTED, ".", None, id="a dot"),
        pytest.param(NESTED, "realm_access.", None, id="a dot at the end"),
        pytest.param(NESTED, ".realm_access", None, id="a dot before"),
        pytest.param(NESTED, "realm_access..roles", None, id="two dots"),
        pytest.param(NAMESPACED, "https://op.example/claims.role", "r", id="a name that is a URL"),
        pytest.param(NAMESPACED, "https://op.example/claims.a.b", 1, id="a dotted name in an object"),
        pytest.param(NAMESPACED, "a.b", {"c": 2}, id="a dotted name"),
        pytest.param(NAMESPACED, "a.b.c", 2, id="below a dotted name"),
        pytest.param({"a.b": 1, "a": {"b": 2}}, "a.b", 1, id="the whole name wins over a path"),
        pytest.param({"a.b": {"c": 1}, "a": {"b.c": 2}}, "a.b.c", 1, id="the longest name wins"),
        pytest.param({"a.b": "text", "a": {"b.c": 2}}, "a.b.c", 2, id="a longer name that is no object does not"),
        pytest.param({"a.b": {}, "a": {"b.c": 2}}, "a.b.c", None, id="an object that is there is the one"),
    ],
)  # fmt: skip
def test_a_claim_is_found_by_name_or_path(claims: Mapping[str, object], path: str, found: object) -> None:
    assert claim_at(claims, path) == found


def test_a_path_of_dots_without_end_is_no_trouble() -> None:
    assert claim_at({"a": {"a": {}}}, "a." * 2_000) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(["a", 1, True, None, 1.5, {"b": 1}, ["c"]], {"a", "1", "true"}, id="a list, other types left out"),
        pytest.param("c", {"c"}, id="a text"),
        pytest.param("a b", {"a b"}, id="a text with a space is one"),
        pytest.param("", {""}, id="an empty text"),
        pytest.param(7, {"7"}, id="a number"),
        pytest.param(True, {"true"}, id="true"),
        pytest.param(False, {"false"}, id="false"),
        pytest.param(None, set(), id="null"),
        pytest.param(1.5, set(), id="a fraction"),
        pytest.param({"a": "b"}, set(), id="an object"),
        pytest.param([], set(), id="an empty list"),
    ],
)
def test_claim_values_are_texts(value: object, words: set[str]) -> None:
    assert claim_values({"claim": value}, "claim") == words
    assert claim_values({"outer": {"claim": value}}, "outer.claim") == words


def test_an_absent_claim_has_no_values() -> None:
    assert claim_values({"text": "c"}, "absent") == set()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(1, "1", id="1 is not true"),
        pytest.param("True", "True", id="a text as it is"),
    ],
)
def test_values_are_written_as_in_the_configuration(value: bool | int | str, word: str) -> None:
    assert claim_word(value) == word


ELSEWHERE: Final[Mapping[str, object]] = {
    "_claim_names": {"groups": "src1", "realm_access": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.example/groups"}},
}


@pytest.mark.parametrize(
    ("claims", "path", "withheld"),
    [
        pytest.param(ELSEWHERE, "groups", True, id="Entra's overage"),
        pytest.param(ELSEWHERE, "realm_access.roles", True, id="below a claim that is elsewhere"),
        pytest.param({"_claim_names": {"a.b": "s"}}, "a.b", True, id="a dotted name that is elsewhere"),
        pytest.param(ELSEWHERE, "roles", False, id="another claim"),
        pytest.param({**ELSEWHERE, "groups": ["staff"]}, "groups", False, id="it is there after all"),
        pytest.param({**ELSEWHERE, "groups": []}, "groups", True, id="an empty list says nothing either"),
        pytest.param({**ELSEWHERE, "groups": None}, "groups", True, id="null is not there"),
        pytest.param({"hasgroups": True}, "groups", True, id="Entra's implicit flow"),
        pytest.param({"hasgroups": "true"}, "groups", True, id="the same as a text"),
        pytest.param({"hasgroups": False}, "groups", False, id="no groups"),
        pytest.param({"hasgroups": True}, "roles", False, id="it speaks of groups alone"),
        pytest.param({"hasgroups": True, "groups": ["staff"]}, "groups", False, id="they are there all the same"),
        pytest.param({"hasgroups": ["true"]}, "groups", False, id="a flag of another type"),
        pytest.param({"_claim_names": ["groups"]}, "groups", False, id="names that are a list"),
        pytest.param({"_claim_names": "groups"}, "groups", False, id="names that are a text"),
        pytest.param({"_claim_names": None}, "groups", False, id="names that are null"),
        pytest.param({}, "groups", False, id="nothing said"),
    ],
)
def test_a_claim_that_the_provider_keeps_elsewhere(claims: Mapping[str, object], path: str, withheld: bool) -> None:
    assert is_withheld(claims, path) is withheld
