"""Targets: what a browser brings, read by the functions that read it first."""

from collections.abc import Sequence
from typing import Final

from oidc.keys import encode

from fuzz.changes import Pairs, applied, form, pair_changes, splices, text
from fuzz.dice import Dice
from fuzz.honest import CLIENT, ISSUER, KEYS, METADATA, NOW, RESPONSE, TRANSACTION
from fuzz.target import Foreseen, Target
from gateway.cookies import (
    CookiePolicy,
    LogoutNote,
    begin_logout,
    begin_transaction,
    find_logout,
    find_transaction,
    read_cookies,
    session_handles,
    without_own,
)
from gateway.languages import languages
from gateway.oidc.authorization_response import check_authorization_response, read_response
from gateway.oidc.messages import single_parameters
from gateway.sealing import KeyRing, seal, unseal
from gateway.target import canonical_path, safe_return_to

NAMES: Final = (
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "id_token",
    "response",
    "session_state",
    "state[]",
)
ORIGIN: Final = "https://app.example"
LANGUAGES: Final = languages({})
RING: Final = KeyRing.of(["the first secret of the gateway, for tests alone"])
POLICY: Final = CookiePolicy(name="gateway", secure=True, ring=RING)
HANDLE: Final = b"h" * 32
NOTE: Final = LogoutNote(state="the-logout", return_to="/bye")
SEALED: Final = seal(RING, "purpose", b"plaintext", entropy=lambda size: b"n" * size)


def _value(line: str) -> tuple[str, str]:
    name, _, value = line.partition(";")[0].partition("=")
    return name, value


COOKIES: Final[Pairs] = (
    ("flavour", "vanilla"),
    ("__Host-gateway", encode(HANDLE)),
    _value(begin_transaction(POLICY, TRANSACTION, "", lambda size: b"t" * size)[0]),
    _value(begin_logout(POLICY, NOTE, lambda size: b"l" * size)),
)
COOKIE_NAMES: Final = (
    "__Host-gateway",
    "__Host-gateway-logout",
    COOKIES[2][0],
    "gateway",
    "GATEWAY",
    "__Secure-gateway",
    "",
)


def query(dice: Dice, pairs: Pairs, names: Sequence[str]) -> str:
    """Make a changed query, and now and then noise."""
    kind, plain = dice.below(8), dice.below(2) == 1
    if kind == 7:
        return dice.noise().decode("latin-1")
    changes = pair_changes(dice, names)
    return form(applied(changes, pairs), splices(dice) if kind > 4 else [], plain=plain)


def cookie_field(dice: Dice, pairs: Pairs) -> str:
    """Make a changed `Cookie` field."""
    changes = pair_changes(dice, COOKIE_NAMES)
    return applied(splices(dice), "; ".join(f"{name}={value}" for name, value in applied(changes, pairs)))


def sealed(dice: Dice) -> bytes:
    """Make a changed ciphertext, and now and then noise."""
    if dice.below(8) == 7:
        return dice.noise()
    return applied(splices(dice), SEALED.decode("latin-1")).encode("latin-1", "replace")


def check_query(query: str) -> bool:
    with Foreseen():
        parameters = single_parameters(query.encode("utf-8", "surrogatepass"))
        received = read_response(parameters, CLIENT, posted=False)
        find_transaction(POLICY, "a=b", received.state)
        response = check_authorization_response(
            received, TRANSACTION, metadata=METADATA, client=CLIENT, keys=KEYS, now=NOW
        )
        assert (received.state, parameters["iss"]) == (TRANSACTION.state, ISSUER)
        assert response.code.isascii()
        assert "error" not in parameters
        return True
    return False


def check_cookies(field: str) -> bool:
    assert all(len(handle) == len(HANDLE) for handle in session_handles(POLICY, field))
    assert find_transaction(POLICY, field, TRANSACTION.state) in (None, TRANSACTION)
    assert find_logout(POLICY, field, NOTE.state) in (None, NOTE)
    kept = read_cookies(without_own(POLICY, field))
    assert not [name for name, _ in kept if POLICY.is_own(name)]
    for line in begin_transaction(POLICY, TRANSACTION, field, lambda size: b"t" * size):
        assert line.startswith("__Host-gateway-tx-")
        assert line.isascii()
        assert line.isprintable()
    return find_transaction(POLICY, field, TRANSACTION.state) is not None


def check_sealed(sealed: bytes) -> bool:
    assert unseal(RING, "purpose", sealed) == (b"plaintext" if sealed == SEALED else None)
    return sealed == SEALED


def check_return_url(url: str) -> bool:
    with Foreseen():
        path = safe_return_to(url, ORIGIN)
        assert path.startswith("/")
        assert not path.startswith(("//", "/\\"))
        assert path.isascii()
        assert path.isprintable()
        assert safe_return_to(path, ORIGIN) == path
        return True
    return False


def check_path(path: str) -> bool:
    with Foreseen():
        canonical = canonical_path(path)
        assert canonical_path(canonical) == canonical
        assert ".." not in canonical.split("/")
        return True
    return False


def check_language(field: str) -> bool:
    chosen = LANGUAGES.choose(field)
    assert chosen in LANGUAGES.catalogues.values()
    return chosen is not LANGUAGES.english


TARGETS: Final = (
    Target(name="query", make=lambda dice: query(dice, RESPONSE, NAMES), check=check_query, share=30),
    Target(name="cookies", make=lambda dice: cookie_field(dice, COOKIES), check=check_cookies, share=30),
    Target(name="sealed", make=sealed, check=check_sealed, share=5),
    Target(
        name="return address",
        make=lambda dice: text(dice, "/home?a=b#c", f"{ORIGIN}/home", "https://app.example:443/%2e%2e/"),
        check=check_return_url,
    ),
    Target(name="path", make=lambda dice: text(dice, "/a/b;c=d/%2E/e%20f", "/static/%C3%A9.css"), check=check_path),
    Target(
        name="Accept-Language",
        make=lambda dice: text(dice, "de-AT,de;q=0.9,en-US;q=0.8,en;q=0.7,*;q=0.1", "en;q=0, *"),
        check=check_language,
        share=5,
    ),
)
"""What comes from a browser."""
