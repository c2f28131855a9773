"""X-Gateway-Identity: who asks, signed for one upstream, and checked as an upstream would, with our published keys."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import NOW, ORIGIN, Site, held_session, run_site
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.config_sources import ConfigurationError
from gateway.identity import Identities
from gateway.oidc.keys import load_own_keys

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


def verified(site: Site, text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    token = jwt.decode(text, published(site), algorithms=["ES256"])
    return token.header, token.claims


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
    assert not {"access_token", "sid", "nonce"} & set(claims)


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
    identities = Identities(keys=load_own_keys(Path(keys[0]).read_bytes()), issuer=ORIGIN, clock=site.clock)
    [(_, first)] = identities.headers(route, session)
    changed = replace(session, claims={**session.claims, "groups": ["staff"]})
    assert verified(site, identities.headers(route, changed)[0][1])[1]["groups"] == ["staff"]
    assert identities.headers(route, session) == [(FIELD, first)]


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
