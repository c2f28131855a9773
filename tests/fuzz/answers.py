"""Targets: what the provider answers on the back channel, and the keys that are read from files."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from samples import SESSION

from fuzz.changes import alterations, applied, document, json_body, text
from fuzz.dice import Dice
from fuzz.honest import (
    CLIENT,
    DISCOVERY,
    ERROR_ANSWER,
    EXCHANGE,
    INTROSPECTION,
    ISSUER,
    JWKS,
    METADATA,
    NOW,
    PUSHED,
    REGISTRATION,
    TOKEN_ANSWER,
    USERINFO,
    pem,
    private_jwk,
    private_rsa_jwk,
    token,
)
from fuzz.target import Foreseen, Target
from gateway.oidc.authorization_request import authorization_url, by_reference, process_pushed_reply
from gateway.oidc.challenge import challenge_text, parse_challenges, step_up_demand
from gateway.oidc.client import Client, SenderConstraint
from gateway.oidc.dpop import demands_nonce, dpop_key_from_text, new_dpop_key, offered_nonce, proof
from gateway.oidc.exchange import ExchangeWanted, process_exchange
from gateway.oidc.introspection import process_introspection, process_phantom
from gateway.oidc.jose import ASYMMETRIC_ALGORITHMS, process_encryption_jwks, process_jwks
from gateway.oidc.jwe import encrypt, encryption_key
from gateway.oidc.keys import load_own_keys, sign
from gateway.oidc.messages import Moment, Reply
from gateway.oidc.metadata import process_discovery
from gateway.oidc.registration import Registration, parse_registration, process_registration, read_call, update_call
from gateway.oidc.token_endpoint import process_token_reply
from gateway.oidc.userinfo import check_subject, read_userinfo, subject_of
from gateway.session import Session, from_bytes, to_bytes

Members = Mapping[str, object]

STATUSES: Final = (200,) * 24 + (201, 204, 301, 400, 400, 401, 403, 404, 429, 500, 503, 0, 999)
JSON_TYPES: Final = ("application/json",) * 12 + ("application/json; charset=utf-8", "text/html", "", ";", "+json")
FIELDS: Final = (
    "max-age=60",
    "no-store",
    'private="max-age=5", max-age=60',
    "the-nonce",
    'DPoP error="use_dpop_nonce"',
)
MOMENT: Final = Moment(now=NOW, entropy=lambda size: b"\x01" * size)
DPOP_KEY: Final = new_dpop_key(lambda size: b"\x02" * size)
WANTED: Final = ExchangeWanted(audience=("api",), scope=("read",))
PREVIOUS: Final = parse_registration(REGISTRATION, ISSUER)
REQUESTED: Final = {
    name: REGISTRATION[name] for name in ("redirect_uris", "response_types", "id_token_signed_response_alg")
}
DPOP_CLIENT: Final = Client(
    client_id="app",
    redirect_uri=CLIENT.redirect_uri,
    post_logout_redirect_uri=CLIENT.post_logout_redirect_uri,
    sender_constraint=SenderConstraint.DPOP,
)
CHALLENGE: Final = (
    'DPoP error="use_dpop_nonce", algs="ES256", Bearer realm="a\\"b", error="insufficient_user_authentication", '
    'acr_values="gold silver", max_age="60", Basic dGVzdA=='
)


def replies(*honest: Members, media_types: Sequence[str] = JSON_TYPES) -> Callable[[Dice], Reply]:
    """Make replies whose bodies are changed JSON."""
    return lambda dice: reply(dice, media_types, json_body(dice, *honest))


def reply(dice: Dice, media_types: Sequence[str], body: bytes) -> Reply:
    """Make a reply with that body, and with odd fields where we look at them."""
    names = ("cache-control", "dpop-nonce", "www-authenticate")
    field = dict.fromkeys(names, text(dice, *FIELDS))
    return Reply(status=dice.pick(STATUSES), headers={"content-type": dice.pick(media_types), **field}, body=body)


def fits_into_a_header(text: str) -> bool:
    """Tell whether a text can be a field value, or part of one."""
    return text.isascii() and text.isprintable()


def check_jwks(reply: Reply) -> bool:
    with Foreseen():
        for key in process_jwks(reply):
            assert isinstance(key.kid, str | None)
            # No key is good for two families: what one signs, the other could be made to verify.
            served = {_family(algorithm) for algorithm in ASYMMETRIC_ALGORITHMS if key.serves(algorithm)}
            assert len(served) <= 1
        found = encryption_key(process_encryption_jwks(reply), "ECDH-ES")
        assert encrypt("text", algorithm="ECDH-ES", encoding="A128GCM", key=found).count(".") == 4
        return True
    return False


def _family(algorithm: str) -> str:
    return "RSA" if algorithm.startswith(("RS", "PS")) else algorithm[:2]


def check_discovery(reply: Reply) -> bool:
    with Foreseen():
        metadata = process_discovery(reply, ISSUER, {}).with_certificate()
        assert metadata.issuer == ISSUER
        urls = [getattr(metadata, name) for name in metadata.__slots__ if name.endswith(("_endpoint", "_uri"))]
        assert all(fits_into_a_header(url) for url in urls if url is not None)
        assert fits_into_a_header(authorization_url(metadata, [("state", "x")]))
        return True
    return False


def check_token_reply(reply: Reply) -> bool:
    accepted = False
    for client in (CLIENT, DPOP_CLIENT):
        with Foreseen():
            tokens = process_token_reply(reply, client=client, requested_scope="openid", now=NOW)
            assert tokens.access_token
            assert fits_into_a_header(f"{tokens.scheme} {tokens.access_token}")
            assert tokens.expires_at is None or tokens.expires_at >= NOW
            accepted = True
    return accepted


def check_userinfo(reply: Reply) -> bool:
    with Foreseen():
        members = read_userinfo(reply, CLIENT)
        assert isinstance(members, dict)
        assert 0 < len(subject_of(members, "id")) <= 255
        assert check_subject(members, "alice")["sub"] == "alice"
        return True
    return False


def check_introspection(reply: Reply) -> bool:
    with Foreseen():
        answer = process_introspection(reply, issuer=ISSUER, leeway=60, now=NOW)
        assert answer.members["active"] is True
        assert answer.expires_at is None or answer.expires_at > NOW - 60
        return True
    return False


def check_phantom(reply: Reply) -> bool:
    with Foreseen():
        phantom = process_phantom(reply, NOW)
        assert fits_into_a_header(phantom.raw)
        assert NOW <= phantom.reusable_until <= phantom.expires_at
        return True
    return False


def check_exchange(reply: Reply) -> bool:
    with Foreseen():
        exchanged = process_exchange(reply, WANTED, NOW)
        assert exchanged.scheme == "Bearer"
        assert fits_into_a_header(exchanged.access_token)
        return True
    return False


def check_pushed(reply: Reply) -> bool:
    with Foreseen():
        assert fits_into_a_header(authorization_url(METADATA, by_reference(CLIENT, process_pushed_reply(reply))))
        return True
    return False


def check_registration(reply: Reply) -> bool:
    accepted = False
    for previous in (None, PREVIOUS):
        with Foreseen():
            registration = process_registration(reply, REQUESTED, ISSUER, previous=previous)
            assert fits_into_a_header(registration.client_id + registration.client_secret)
            _check_kept(registration)
            accepted = True
    return accepted


def _check_kept(registration: Registration) -> None:
    for call in (read_call(registration), update_call(registration, registration.members)):
        assert fits_into_a_header(call.url + call.headers["Authorization"])
    kept = parse_registration(json.loads(json.dumps(registration.members)), ISSUER)
    assert kept.client_id == registration.client_id


def check_nonce(reply: Reply) -> bool:
    nonce = offered_nonce(reply)
    assert proof(DPOP_KEY, method="GET", url=ISSUER, moment=MOMENT, nonce=nonce).isascii()
    return demands_nonce(reply)


def check_dpop_key(text: str) -> bool:
    with Foreseen(ValueError):
        assert dpop_key_from_text(text).to_text() == text
        return True
    return False


def check_challenges(header: str) -> bool:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower()
    demand = step_up_demand(header)
    if demand is None:
        return False
    assert challenge_text("Bearer", {"acr_values": " ".join(demand.acr_values)}).isascii()
    assert demand.max_age is None or demand.max_age >= 0
    return True


def check_own_keys(data: bytes) -> bool:
    with Foreseen(ValueError):
        for key in load_own_keys(data):
            assert "d" not in key.public_jwk()
            json.dumps(key.public_jwk())
            if key.use == "sig":
                assert sign(key, {"typ": "JWT"}, {"sub": "alice"}).count(".") == 2
        return True
    return False


def check_kept_session(data: bytes) -> bool:
    session = from_bytes(data)
    return session is not None and json.dumps(session.claims) != ""


def check_written_session(claims: Members) -> bool:
    session = Session(**{**_fields(SESSION), "claims": dict(claims)})  # type: ignore[arg-type]
    assert from_bytes(to_bytes(session)) == session
    return True


def _fields(session: Session) -> dict[str, object]:
    return {name: getattr(session, name) for name in session.__slots__}


def phantom_reply(dice: Dice) -> Reply:
    """Make the answer to a question for a phantom token."""
    header = applied(alterations(dice, 1), {"alg": "EdDSA", "typ": "at+jwt"})
    claims = applied(alterations(dice, 2), {"sub": "alice", "exp": NOW + 9})
    raw = text(dice, token("EdDSA", header, claims), "a.b.c")
    return reply(dice, ("application/jwt", "application/jwt", "application/json"), raw.encode("utf-8", "replace"))


def own_keys_file(dice: Dice) -> bytes:
    """Make a file with private keys."""
    if dice.below(3) == 2:
        return text(dice, pem(), pem() + pem()).encode("utf-8", "replace")
    return json_body(dice, private_jwk(), private_rsa_jwk(), {"keys": [private_jwk(), private_rsa_jwk()]})


TARGETS: Final = (
    Target(name="jwks", make=replies(JWKS), check=check_jwks, share=20),
    Target(name="metadata", make=replies(DISCOVERY), check=check_discovery, share=20),
    Target(
        name="token answer", make=replies(TOKEN_ANSWER, TOKEN_ANSWER, ERROR_ANSWER), check=check_token_reply, share=20
    ),
    Target(name="userinfo", make=replies(USERINFO), check=check_userinfo),
    Target(name="introspection", make=replies(INTROSPECTION), check=check_introspection),
    Target(name="phantom token", make=phantom_reply, check=check_phantom),
    Target(name="exchange", make=replies(EXCHANGE, EXCHANGE, ERROR_ANSWER), check=check_exchange),
    Target(name="pushed request", make=replies(PUSHED, ERROR_ANSWER), check=check_pushed),
    Target(name="registration", make=replies(REGISTRATION, REGISTRATION, ERROR_ANSWER), check=check_registration),
    Target(name="DPoP nonce", make=replies({"error": "use_dpop_nonce"}), check=check_nonce, share=5),
    Target(name="DPoP key", make=lambda dice: text(dice, DPOP_KEY.to_text()), check=check_dpop_key, share=3),
    Target(name="challenges", make=lambda dice: text(dice, CHALLENGE), check=check_challenges),
    Target(name="own keys", make=own_keys_file, check=check_own_keys, share=5),
    Target(
        name="kept session",
        make=lambda dice: json_body(dice, {"format": 2, **_fields(SESSION)}),
        check=check_kept_session,
        share=5,
    ),
    Target(name="written session", make=lambda dice: document(dice, USERINFO), check=check_written_session, share=5),
)
"""What comes over the back channel or out of a file."""
