"""What an inner app's 401 makes us do (RFC 9449 9, RFC 9470 3): prove once more, ask for more once, else nothing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from samples import passage
from werkzeug import Response

from gateway.cookies import CookiePolicy
from gateway.headers import Headers
from gateway.inner import Admitted
from gateway.oidc.challenge import StepUp
from gateway.reactions import Reactions, is_repeatable
from gateway.sealing import KeyRing

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
LOGIN: Final = Response(status=303)
NONCE: Final = ("DPoP-Nonce", "n1")
USE_NONCE: Final = ("WWW-Authenticate", 'DPoP error="use_dpop_nonce", algs="ES256"')
INVALID_TOKEN: Final = ("WWW-Authenticate", 'Bearer realm="x", error="invalid_token"')
STRONGER: Final = ("WWW-Authenticate", 'Bearer error="insufficient_user_authentication", acr_values="gold"')
STRONGER_DPOP: Final = ("www-authenticate", 'DPoP error="insufficient_user_authentication", max_age="60"')


class Told:
    """Notes what the reactions did, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def remember(self, nonce: str) -> None:
        self.done.append(nonce)

    def prove(self) -> Admitted:
        self.done.append("proved")
        return Admitted(inner=_never, passage=passage({}), cookies=COOKIES, personal=True, react=_never)

    def renew(self) -> Response:
        self.done.append("renewed")
        return LOGIN

    def step_up(self, demand: StepUp) -> Response:
        self.done.append(demand)
        return LOGIN

    def reactions(self) -> Reactions:
        return Reactions(remember_nonce=self.remember, prove=self.prove, renew=self.renew, step_up=self.step_up)


def _never(*_: Any) -> Any:
    raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("status", "headers", "done"),
    [
        pytest.param(200, [], [], id="an answer without either"),
        pytest.param(200, [NONCE], ["n1"], id="RFC 9449 8.2: the next nonce comes with any answer"),
        pytest.param(500, [NONCE], ["n1"], id="also with a failure"),
        pytest.param(401, [], [], id="a 401 without a word"),
        pytest.param(401, [("WWW-Authenticate", "Basic realm=x")], [], id="a challenge that is not ours"),
        pytest.param(401, [USE_NONCE, NONCE], ["n1", "proved"], id="RFC 9449 9: with the nonce, once more"),
        pytest.param(401, [USE_NONCE], [], id="it names no nonce"),
        pytest.param(401, [NONCE], ["n1"], id="it does not ask for one"),
        pytest.param(401, [INVALID_TOKEN], ["renewed"], id="RFC 6750 3.1: the token is invalid"),
        pytest.param(401, [("WWW-Authenticate", 'DPoP error="invalid_token"')], ["renewed"], id="a bound one, too"),
        pytest.param(403, [INVALID_TOKEN], [], id="not with another status"),
        pytest.param(401, [("WWW-Authenticate", 'Basic error="invalid_token"')], [], id="another scheme's word"),
        pytest.param(401, [INVALID_TOKEN, USE_NONCE, NONCE], ["n1", "proved"], id="a nonce is asked for first"),
        pytest.param(401, [USE_NONCE, ("DPoP-Nonce", 'a"b')], [], id="a nonce that is none"),
        pytest.param(401, [USE_NONCE, NONCE, NONCE], [], id="two nonces are none"),
        pytest.param(401, [USE_NONCE, ("DPoP-Nonce", "n" * 10_000)], [], id="a nonce without end"),
        pytest.param(400, [USE_NONCE, NONCE], ["n1"], id="400 is no 401"),
        pytest.param(401, [STRONGER], [StepUp(acr_values=("gold",))], id="RFC 9470 3: a stronger login"),
        pytest.param(401, [STRONGER_DPOP], [StepUp(max_age=60)], id="the same by DPoP"),
        pytest.param(
            401, [("WWW-Authenticate", "Basic realm=x"), STRONGER], [StepUp(acr_values=("gold",))],
            id="among several fields",
        ),
        pytest.param(403, [STRONGER], [], id="403 is no 401"),
        pytest.param(200, [STRONGER], [], id="200 is no 401"),
        pytest.param(
            401, [INVALID_TOKEN, STRONGER], [StepUp(acr_values=("gold",))], id="a stronger login brings a new token"
        ),
        pytest.param(401, [USE_NONCE, NONCE, STRONGER], ["n1", "proved"], id="first the proof, then the login"),
    ],
)  # fmt: skip
def test_what_is_done_upon_an_answer(status: int, headers: Headers, done: list[object]) -> None:
    told = Told()
    other = told.reactions()(status, headers)
    assert told.done == done
    assert isinstance(other, Admitted) is ("proved" in done)
    assert (other is LOGIN) is any(isinstance(what, StepUp) or what == "renewed" for what in done)


def test_a_request_is_proven_once_more_and_no_further() -> None:
    told = Told()
    again = told.reactions()(401, [USE_NONCE, NONCE])
    assert isinstance(again, Admitted)
    assert again.react is not None
    assert again.react(401, [USE_NONCE, ("DPoP-Nonce", "n2")]) is None
    assert told.done == ["n1", "proved", "n2"]
    assert again.react(401, [STRONGER]) is LOGIN


@pytest.mark.parametrize(
    ("lacking", "headers", "done"),
    [
        pytest.param({"remember_nonce": None, "prove": None}, [USE_NONCE, NONCE], [], id="a token bound to no key"),
        pytest.param({"prove": None}, [USE_NONCE, NONCE], ["n1"], id="a request that cannot be sent twice"),
        pytest.param({"step_up": None}, [STRONGER], [], id="no navigation"),
        pytest.param(
            {"prove": None}, [USE_NONCE, NONCE, STRONGER], ["n1", StepUp(acr_values=("gold",))],
            id="a proof that cannot be made anew does not stand in the way of the login",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_let_go(lacking: dict[str, Any], headers: Headers, done: list[object]) -> None:
    told = Told()
    replace(told.reactions(), **lacking)(401, headers)
    assert told.done == done


@pytest.mark.parametrize(
    ("environ", "repeatable"),
    [
        pytest.param({"REQUEST_METHOD": "GET"}, True, id="GET"),
        pytest.param({"REQUEST_METHOD": "HEAD"}, True, id="HEAD"),
        pytest.param({"REQUEST_METHOD": "OPTIONS"}, True, id="OPTIONS"),
        pytest.param({"REQUEST_METHOD": "PUT"}, True, id="PUT without a body"),
        pytest.param({"REQUEST_METHOD": "DELETE"}, True, id="DELETE (RFC 9110 9.2.2)"),
        pytest.param({"REQUEST_METHOD": "POST"}, False, id="POST"),
        pytest.param({"REQUEST_METHOD": "PATCH"}, False, id="PATCH"),
        pytest.param({"REQUEST_METHOD": "PROPPATCH"}, False, id="a method that we do not know"),
        pytest.param({"REQUEST_METHOD": "get"}, False, id="a method in another case"),
        pytest.param({}, False, id="no method"),
        pytest.param({"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "0"}, True, id="an empty body"),
        pytest.param({"REQUEST_METHOD": "GET", "CONTENT_LENGTH": ""}, True, id="a length that is not said"),
        pytest.param({"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "1"}, False, id="a body"),
        pytest.param({"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "00"}, False, id="a length that is written oddly"),
        pytest.param({"REQUEST_METHOD": "PUT", "HTTP_TRANSFER_ENCODING": "chunked"}, False, id="a body of any length"),
    ],
)
def test_which_requests_may_be_sent_twice(environ: Mapping[str, Any], repeatable: bool) -> None:
    assert is_repeatable(environ) is repeatable
