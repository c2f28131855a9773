"""Targets: whole gateways, and what comes to their redirect URIs and to the start of a login."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from harness import ISSUER, ORIGIN, TRANSACTION_PREFIX

from fuzz.changes import (
    Alter,
    AlterPairs,
    Change,
    Pairs,
    Splice,
    alterations,
    applied,
    form,
    pair_changes,
    splices,
    token_changes,
)
from fuzz.dice import Dice
from fuzz.incoming import NAMES
from fuzz.sites import Kind, Site, code_of, sets_session, site
from fuzz.target import Target
from gateway.cookies import find_transaction
from gateway.testing import Faults
from gateway.testing.issuing import signed
from gateway.testing.wsgi import Exchange

CALLBACK_PATH: Final = "/oauth2/callback"
FORM: Final = "application/x-www-form-urlencoded"
START: Final[Pairs] = (("rd", "/home?a=b"), ("login_hint", "alice"), ("ui_locales", "en"))
START_NAMES: Final = (
    "rd",
    "login_hint",
    "ui_locales",
    "provider",
    "iss",
    "target_link_uri",
    "prompt",
    "max_age",
    "acr_values",
)
COOKIE_NAMES: Final = ("__Host-gateway", "__Host-gateway-retry", f"{TRANSACTION_PREFIX}0", "flavour")


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that the provider has answered, in a browser that has not brought the answer yet."""

    cookies: Pairs
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a browser's visit to the redirect URI differs from the honest one."""

    pairs: Sequence[AlterPairs]
    cookies: Sequence[AlterPairs]
    after: Sequence[Splice]
    plain: bool
    media_type: str


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """How a signed answer differs from the honest one: before it was signed, and after."""

    claims: Sequence[Alter]
    after: Sequence[Change[str]]
    pairs: Sequence[AlterPairs]


@dataclass(frozen=True, slots=True)
class Start:
    """What a link or a form asks of the start of a login."""

    query: str
    form: str
    posted: bool
    origin: str


def answer(dice: Dice) -> Answer:
    """Choose how an answer differs; its cookies are honest more often than not."""
    cookies = pair_changes(dice, COOKIE_NAMES) if dice.below(4) == 3 else []
    after = splices(dice) if dice.below(4) == 3 else []
    media_type = dice.pick((FORM,) * 6 + (f"{FORM}; charset=utf-8", "text/plain", ""))
    return Answer(pair_changes(dice, NAMES), cookies, after, dice.below(2) == 1, media_type)


def signed_answer(dice: Dice) -> SignedAnswer:
    """Choose how a signed answer differs."""
    return SignedAnswer(
        alterations(dice, 2), token_changes(dice), pair_changes(dice, NAMES) if dice.below(4) == 3 else []
    )


def start(dice: Dice) -> Start:
    """Choose what a login is begun with."""
    both = [form(applied(pair_changes(dice, START_NAMES), START), splices(dice, 1), plain=False) for _ in range(2)]
    return Start(both[0], both[1], dice.below(3) == 2, dice.pick((ORIGIN, "https://evil.example")))


def check_query(answer: Answer) -> bool:
    here = site("query")
    pending = _pending("query")
    query = _latin(form(applied(answer.pairs, list(pending.members.items())), answer.after, plain=answer.plain))
    cookie = _cookie(applied(answer.cookies, pending.cookies))
    reply = here.ask(f"{CALLBACK_PATH}?{query}", fields=[("Cookie", cookie)])
    return _check_reply("query", reply, honest=_is_honest(query, pending))


def check_form(answer: Answer) -> bool:
    here = site("form_post")
    pending = _pending("form_post")
    body = form(applied(answer.pairs, list(pending.members.items())), answer.after, plain=answer.plain)
    fields = [("Cookie", _cookie(applied(answer.cookies, pending.cookies))), ("Content-Type", answer.media_type)]
    reply = here.ask(CALLBACK_PATH, method="POST", fields=fields, body=body.encode("utf-8", "surrogatepass"))
    return _check_reply("form_post", reply, honest=_is_honest(body, pending))


def check_signed(answer: SignedAnswer) -> bool:
    here = site("query.jwt")
    pending = _pending("query.jwt")
    claims = {"iss": ISSUER, "aud": "app %&+", "exp": here.provider.now + 60, **_sent_within(pending)}
    changed = applied(answer.claims, claims)
    raw = signed(here.provider, changed, here.provider.clients[0], "ES256")
    honest: Pairs = [("response", applied(answer.after, raw))]
    pairs = applied(answer.pairs, honest)
    query = form(pairs, [], plain=False)
    reply = here.ask(f"{CALLBACK_PATH}?{query}", fields=[("Cookie", _cookie(pending.cookies))])
    kept = all(changed.get(name) == claims[name] for name in ("iss", "code", "state"))
    return _check_reply("query.jwt", reply, honest=kept and dict(parse_qsl(query)).get("response") == raw)


def check_start(begun: Start) -> bool:
    here = site("query")
    fields = [("Accept", "text/html"), ("Content-Type", FORM), ("Origin", begun.origin)]
    body = begun.form.encode("utf-8", "surrogatepass") if begun.posted else b""
    method = "POST" if begun.posted else "GET"
    reply = here.ask(f"/oauth2/start?{_latin(begun.query)}", method=method, fields=fields, body=body)
    if begun.posted and begun.origin != ORIGIN and reply.status == 303:
        # Another site's form begins nothing; it becomes a link to the same place.
        assert "Set-Cookie" not in reply.headers
        assert reply.headers["Location"].startswith("/oauth2/start?")
        reply = here.ask(reply.headers["Location"], fields=[("Accept", "text/html")])
    return _is_begun(here, reply)


def _is_begun(here: Site, reply: Exchange) -> bool:
    assert not sets_session(reply)
    assert here.received == []
    if reply.status != 303:
        assert reply.status == 400
        return False
    location = reply.headers["Location"]
    assert location.startswith(f"{ISSUER}/authorize?")
    cookie = "; ".join(line.partition(";")[0] for line in reply.headers.getlist("Set-Cookie"))
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    transaction = find_transaction(here.gateway.settings.cookies, cookie, state)
    assert transaction is not None
    assert transaction.return_to.startswith("/")
    assert not transaction.return_to.startswith(("//", "/\\"))
    return True


@cache
def _waiting() -> dict[Kind, Pending]:
    return {}


def _pending(kind: Kind) -> Pending:
    waiting = _waiting()
    if kind not in waiting:
        waiting[kind] = _begin(site(kind))
    return waiting[kind]


def _begin(here: Site) -> Pending:
    sent: dict[str, str] = {}

    def note(members: dict[str, str]) -> dict[str, str]:
        sent.update(members)
        return members

    browser = here.browser()
    here.provider.faults = Faults(authorization_response=note)
    redirect = browser.navigate(f"{ORIGIN}/home", follow=False)
    browser.navigate(redirect.headers["Location"], follow=False)
    here.provider.faults = Faults()
    return Pending(cookies=tuple(browser.cookies.of(ORIGIN).items()), members=sent)


def _sent_within(pending: Pending) -> dict[str, str]:
    return {name: value for name, value in pending.members.items() if name in ("code", "state")}


def _check_reply(kind: Kind, reply: Exchange, *, honest: bool) -> bool:
    here = site(kind)
    if here.provider.calls["token.authorization_code"]:
        here.provider.calls.clear()
        del _waiting()[kind]  # Its state has been claimed: the next input needs a login that is still good.
    assert here.received == []
    assert honest or not sets_session(reply), reply
    if reply.status == 503:
        assert code_of(reply) == "op_temporarily_unavailable"
    return sets_session(reply)


def _is_honest(query: str, pending: Pending) -> bool:
    found = dict(parse_qsl(query, keep_blank_values=True))
    return all(found.get(name) == pending.members[name] for name in ("code", "state", "iss"))


def _latin(text: str) -> str:
    # Bytes of the request line, as a server decodes them.
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _cookie(pairs: Pairs) -> str:
    return "; ".join(f"{name}={value}" for name, value in pairs)


TARGETS: Final = (
    Target(name="callback by GET", make=answer, check=check_query, share=30),
    Target(name="callback by POST", make=answer, check=check_form, share=20),
    Target(name="callback, signed", make=signed_answer, check=check_signed, share=15),
    Target(name="start of a login", make=start, check=check_start, share=15),
)
"""What comes to a whole gateway while somebody signs in."""
