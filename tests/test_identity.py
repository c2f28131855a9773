"""X-Gateway-Identity: who asks, signed for one upstream, and checked as an upstream would, with our published keys."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import ISSUER, NOW, ORIGIN, Site, held_session, run_site, without
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.config_sources import ConfigurationError
from gateway.identity import LEAST_SECONDS, MAX_TEXT, Identities
from gateway.oidc.keys import load_own_keys
from gateway.testing import Faults

FIELD: Final = "x-gateway-identity"


def pem_file(path: Path, curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    return [pem_file(tmp_path / "new.pem"), pem_file(tmp_path / "old.pem")]


@pytest.fixture
def site(keys: list[str]) -> Iterator[Site]:
    routes = [{"path": "/plain/**"}, {"path": "/**", "identity_jwt": True}]
    with run_site({"identity_keys": keys, "routes": routes}, mode="upstream") as running:
        yield running


def published(site: Site) -> KeySet:
    jwks: Any = site.browser.fetch(f"{ORIGIN}/oauth2/jwks.json").json()
    assert all("d" not in key for key in jwks["keys"])
    return KeySet.import_key_set(jwks)


def verified(site: Site, text: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    token = jwt.decode(text, published(site), algorithms=["ES256"])
    return token.header, token.claims


def identities_of(keys: list[str], site: Site) -> Identities:
    own = load_own_keys(Path(keys[0]).read_bytes())
    return Identities(keys=own, issuer=ORIGIN, clock=site.clock, entropy=secrets.token_bytes)


def test_an_upstream_can_tell_who_asks(site: Site) -> None:
    site.sign_in()
    header, claims = verified(site, site.received[-1].headers[FIELD])
    assert header["typ"] == "gateway-identity+jwt"
    upstream = next(iter(site.gateway.settings.upstreams))
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ORIGIN, upstream, "alice")
    assert (claims["idp"], claims["email"], claims["groups"]) == (
        "https://op.example", "alice@op.example", ["staff", "ops"],
    )  # fmt: skip
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 300)
    assert not {"access_token", "sid", "nonce", "withheld"} & set(claims)


def test_the_first_key_signs_and_all_are_published(site: Site) -> None:
    site.sign_in()
    header, _ = verified(site, site.received[-1].headers[FIELD])
    kids = [key.kid for key in published(site).keys]
    assert len(kids) == 2
    assert header["kid"] == kids[0]


def test_it_is_used_again_for_a_minute(site: Site) -> None:
    site.sign_in()
    first = site.received[-1].headers[FIELD]
    site.clock.advance(59)
    site.browser.fetch(f"{ORIGIN}/x")
    assert site.received[-1].headers[FIELD] == first
    site.clock.advance(1)
    site.browser.fetch(f"{ORIGIN}/x")
    assert verified(site, site.received[-1].headers[FIELD])[1]["iat"] == NOW + 60


def test_what_is_new_of_a_user_is_said_at_once(site: Site, keys: list[str]) -> None:
    site.sign_in()
    session, route = held_session(site), site.gateway.settings.routes[-1]
    identities = identities_of(keys, site)
    [(_, first)] = identities.headers(route, session)
    changed = replace(session, claims={**session.claims, "groups": ["staff"]})
    assert verified(site, identities.headers(route, changed)[0][1])[1]["groups"] == ["staff"]
    assert identities.headers(route, session) == [(FIELD, first)]


def test_each_one_that_is_made_has_a_name_of_its_own(site: Site) -> None:
    site.sign_in()
    first = verified(site, site.received[-1].headers[FIELD])[1]["jti"]
    site.clock.advance(60)
    site.browser.fetch(f"{ORIGIN}/x")
    second = verified(site, site.received[-1].headers[FIELD])[1]["jti"]
    assert (len(first), len(second), first != second) == (22, 22, True)


@pytest.mark.parametrize(
    ("ends", "lifetime"),
    [
        pytest.param({}, 300, id="a session that lives longer"),
        pytest.param({"ends_at": NOW + 301}, 300, id="a session that lives a second longer"),
        pytest.param({"ends_at": NOW + 299}, 299, id="a session that ends sooner"),
        pytest.param({"ends_at": NOW + 1}, 1, id="a session in its last second"),
        pytest.param({"refresh_expires_at": NOW + 40}, 40, id="a session that cannot be renewed"),
        pytest.param({"refresh_expires_at": NOW + 40, "ends_at": NOW + 20}, 20, id="whichever is first"),
        pytest.param({"access_expires_at": NOW + 40}, 300, id="a token that will be renewed"),
        pytest.param({"ends_at": NOW}, LEAST_SECONDS, id="a token at its end, believed as clocks differ"),
        pytest.param({"ends_at": NOW - 50}, LEAST_SECONDS, id="a token past its end, believed as clocks differ"),
    ],
)
def test_it_does_not_outlive_what_it_is_made_of(
    site: Site, keys: list[str], ends: dict[str, int], lifetime: int
) -> None:
    site.sign_in()
    identities, route = identities_of(keys, site), site.gateway.settings.routes[-1]
    [(_, longest)] = identities.headers(route, held_session(site))
    assert verified(site, longest)[1]["exp"] == NOW + 300
    session = replace(held_session(site), **ends)  # type: ignore[arg-type]
    [(_, text)] = identities.headers(route, session)
    assert verified(site, text)[1]["exp"] == NOW + lifetime
    site.clock.advance(min(lifetime, 60) - 1)
    assert identities.headers(route, session) == [(FIELD, text)]
    site.clock.advance(1)
    assert identities.headers(route, session) != [(FIELD, text)]


def test_nor_does_it_outlive_a_client_s_token(keys: list[str]) -> None:
    over = {
        "identity_keys": keys,
        "bearer": {"audience": ["api"]},
        "routes": [{"path": "/**", "identity_jwt": True, "bearer": ["jwt", "introspection"]}],
    }
    with run_site(over, mode="upstream") as site:
        claims = {"iss": ISSUER, "sub": "robot", "aud": "api", "client_id": "c", "iat": NOW}
        for lifetime, expected in ((3600, 300), (40, 40)):
            raw = site.provider.sign(
                {**claims, "exp": NOW + lifetime},
                client_id="app %&+",
                alter_header=lambda header: {**header, "typ": "at+jwt"},
            )
            site.browser.fetch(f"{ORIGIN}/x", headers={"Authorization": f"Bearer {raw}"})
            assert verified(site, site.received[-1].headers[FIELD])[1]["exp"] == NOW + expected
        # Of one whose end nobody knows, it counts for as long as the provider's word is believed.
        site.sign_in()
        endless = without("exp")
        site.provider.faults = Faults(introspection=lambda code, said: (code, {**endless(said), "aud": "api"}))
        field = f"Bearer {held_session(site).access_token}"
        page = site.browser.fetch(f"{ORIGIN}/x", headers={"Authorization": field})
        assert page.status == 200
        assert verified(site, site.received[-1].headers[FIELD])[1]["exp"] == NOW + 30


LONG: Final = "x" * (MAX_TEXT - 2)
MANY: Final = [f"group-{number:03}" for number in range(400)]


@pytest.mark.parametrize(
    ("claims", "told", "withheld"),
    [
        pytest.param({"email": "a@b.example", "name": "Zoë"}, {"email": "a@b.example", "name": "Zoë"}, [], id="texts"),
        pytest.param({"name": LONG}, {"name": LONG}, [], id="as long as may be"),
        pytest.param({"name": f"{LONG}x"}, {}, ["name"], id="longer"),
        pytest.param({"name": "ë" * 200}, {}, ["name"], id="longer as JSON"),
        pytest.param({"name": None}, {}, [], id="null is nothing"),
        pytest.param({"name": {"given": "Al"}, "email": ["a@b.example"]}, {}, ["email", "name"], id="other shapes"),
        pytest.param({"name": "\ud800", "acr": True}, {}, ["name", "acr"], id="half of a pair, and no text"),
        pytest.param({"groups": ["a", "b"]}, {"groups": ["a", "b"]}, [], id="groups"),
        pytest.param({"groups": "a"}, {"groups": ["a"]}, [], id="one group"),
        pytest.param({"groups": []}, {"groups": []}, [], id="no groups"),
        pytest.param({"groups": ["a", 1]}, {}, ["groups"], id="a group that is a number"),
        pytest.param({"groups": {"a": 1}}, {}, ["groups"], id="groups as an object"),
        pytest.param({"groups": MANY}, {}, ["groups"], id="too many groups"),
        pytest.param({"_claim_names": {"groups": "s1"}}, {}, ["groups"], id="groups kept elsewhere (OIDC Core 5.6.2)"),
        pytest.param({"groups": [], "hasgroups": True}, {}, ["groups"], id="groups kept elsewhere, as Entra ID says"),
        pytest.param({"auth_time": NOW - 0.5}, {"auth_time": NOW - 1}, [], id="a time"),
        pytest.param({"auth_time": "yesterday"}, {}, ["auth_time"], id="a time that is none"),
        pytest.param(
            {"email": "a@b.example", "email_verified": False}, {}, [], id="an address that nobody vouches for"
        ),
        pytest.param({"withheld": ["x"], "roles": {"a": 1}}, {}, [], id="what is not ours to tell"),
    ],
)
def test_what_is_told_of_a_user_and_what_is_said_to_be_left_out(
    site: Site, keys: list[str], claims: Mapping[str, object], told: Mapping[str, object], withheld: list[str]
) -> None:
    site.sign_in()
    session = replace(held_session(site), claims=claims, scope="openid")
    [(_, text)] = identities_of(keys, site).headers(site.gateway.settings.routes[-1], session)
    found = verified(site, text)[1]
    assert found.pop("withheld", []) == withheld
    own = {"iss", "aud", "sub", "idp", "scope", "iat", "exp", "jti"}
    assert {name: value for name, value in found.items() if name not in own} == told


def test_a_scope_that_is_too_long_is_left_out(site: Site, keys: list[str]) -> None:
    site.sign_in()
    identities, route = identities_of(keys, site), site.gateway.settings.routes[-1]
    for scope, withheld in (("openid", []), ("x" * 5000, ["scope"])):
        [(_, text)] = identities.headers(route, replace(held_session(site), scope=scope))
        assert verified(site, text)[1].get("withheld", []) == withheld


@pytest.mark.parametrize(
    "name", ["X-Gateway-Identity", "x_gateway_identity", "X-GATEWAY-IDENTITY", "X-Gateway_Identity"]
)
@pytest.mark.parametrize("path", ["/x", "/plain/x"])
def test_no_client_can_send_one(site: Site, name: str, path: str) -> None:
    site.sign_in()
    site.browser.fetch(ORIGIN + path, headers={name: "forged"})
    values = [value for field, value in site.received[-1].headers.items() if field.lower().replace("_", "-") == FIELD]
    assert "forged" not in values
    assert len(values) == int(path == "/x")


def test_each_upstream_and_each_user_gets_its_own(keys: list[str]) -> None:
    routes = [{"path": "/a/**", "identity_jwt": True}]
    with run_site({"identity_keys": keys, "routes": routes}) as site:
        site.sign_in("/a/x")
        alice = site.received[-1].headers[FIELD]
        assert verified(site, alice)[1]["aud"] == ORIGIN  # A wrapped app is the site itself.
        site.provider.sign_in_as = "bob"
        site.restarted().sign_in("/a/x")
        assert verified(site, site.received[-1].headers[FIELD])[1]["sub"] == "bob"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        pytest.param([], "identity_keys must name a key", id="none"),
        pytest.param([ec.SECP384R1()], "identity_keys|none of the keys is for ES256", id="another curve"),
    ],
)
def test_keys_that_are_not_fit(tmp_path: Path, made: list[ec.EllipticCurve], words: str) -> None:
    files = [pem_file(tmp_path / f"{number}.pem", curve) for number, curve in enumerate(made)]
    over = {"identity_keys": files, "routes": [{"path": "/a", "identity_jwt": True}]}
    with pytest.raises(ConfigurationError, match=words), run_site(over):
        pass


def test_a_key_signs_nothing_else(keys: list[str]) -> None:
    over = {"identity_keys": keys, "provider": {"signing_keys": keys[:1]}}
    with pytest.raises(ConfigurationError, match="sign nothing else"), run_site(over):
        pass
    with pytest.raises(ConfigurationError, match="there once"), run_site({"identity_keys": keys[:1] * 2}):
        pass
