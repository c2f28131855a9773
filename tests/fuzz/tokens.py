"""Targets: tokens that are signed, encrypted or both, with all that is checked about them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from oidc.keys import encode

from fuzz.changes import Alter, Change, Members, alterations, applied, token_changes
from fuzz.dice import Dice
from fuzz.honest import (
    ACCESS_TOKEN,
    CLIENT,
    ENCRYPTION,
    ID_TOKEN,
    ISSUER,
    JARM,
    KEYS,
    METADATA,
    NOW,
    OWN_KEYS,
    RESPONSE,
    SECRET,
    SIGNED_CLIENT,
    SIGNED_INTROSPECTION,
    SIGNED_USERINFO,
    SIGNING,
    TRANSACTION,
    jwe,
    token,
)
from fuzz.target import Foreseen, Target
from gateway.cookies import CookiePolicy, find_transaction
from gateway.oidc.authorization_response import AuthorizationResponse, check_authorization_response, read_response
from gateway.oidc.client import Client
from gateway.oidc.id_token import (
    Expected,
    check_front_channel_id_token,
    check_id_token,
    check_refreshed_id_token,
)
from gateway.oidc.introspection import check_signed_introspection, introspection_jwt, parse_signed_introspection
from gateway.oidc.jose import parse_signed, unverified_claims, verify_with
from gateway.oidc.jwe import decrypt
from gateway.oidc.messages import Reply
from gateway.oidc.userinfo import check_signed_userinfo, read_userinfo
from gateway.sealing import KeyRing

EXPECTED: Final = Expected(issuer=ISSUER, client=CLIENT, now=NOW, access_token=ACCESS_TOKEN)
POLICY: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret that seals nothing here"]))


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was changed, signed, and changed again after that."""

    algorithm: str
    header: Sequence[Alter]
    claims: Sequence[Alter]
    after: Sequence[Change[str]]

    def written(self, claims: Mapping[str, object], typ: str = "JWT") -> str:
        header: Members = {"alg": self.algorithm, "typ": typ}
        contents: Members = dict(claims)
        header, contents = applied(self.header, header), applied(self.claims, contents)
        return applied(self.after, token(self.algorithm, header, contents))


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An encrypted token whose header was changed, and its text after that."""

    algorithm: str
    header: Sequence[Alter]
    plaintext: bytes
    after: Sequence[Change[str]]

    def written(self) -> str:
        parts = jwe(self.algorithm, self.plaintext)
        if self.header:
            changed: Members = applied(self.header, dict(parts.header))
            parts = replace(parts, encoded_header=encode(json.dumps(changed).encode()))
        return applied(self.after, parts.compact())


def check_jws(made: Made) -> bool:
    with Foreseen():
        parsed = parse_signed(made.written({"sub": "alice"}), SIGNING)
        with Foreseen():
            assert isinstance(unverified_claims(parsed), dict)
        assert isinstance(verify_with(parsed, KEYS, SECRET), dict)
        return True
    return False


def check_login_token(made: Made) -> bool:
    with Foreseen():
        parsed = parse_signed(made.written(ID_TOKEN), SIGNING)
        claims = check_id_token(parsed, KEYS, EXPECTED, TRANSACTION).claims
        assert (claims["iss"], claims["nonce"]) == (ISSUER, TRANSACTION.nonce)
        assert claims["aud"] == "app" or "app" in claims["aud"]  # type: ignore[operator]
        assert claims["exp"] > NOW - 60  # type: ignore[operator]
        return True
    return False


def check_front_channel_token(made: Made) -> bool:
    with Foreseen():
        parsed = parse_signed(made.written(ID_TOKEN), SIGNING)
        response = _response(dict(RESPONSE), CLIENT)
        assert check_front_channel_id_token(parsed, KEYS, EXPECTED, response).claims["c_hash"] == ID_TOKEN["c_hash"]
        return True
    return False


def check_refreshed_token(made: Made) -> bool:
    with Foreseen():
        parsed = parse_signed(made.written(ID_TOKEN), SIGNING)
        assert check_refreshed_id_token(parsed, KEYS, EXPECTED, login=ID_TOKEN).subject == "alice"
        return True
    return False


def check_userinfo(made: Made) -> bool:
    with Foreseen():
        read = read_userinfo(_reply("application/jwt", made.written(SIGNED_USERINFO)), SIGNED_CLIENT)
        assert not isinstance(read, dict)
        assert "iss" not in check_signed_userinfo(read, KEYS, METADATA, SIGNED_CLIENT, NOW)
        return True
    return False


def check_introspection(made: Made) -> bool:
    with Foreseen():
        raw = made.written(SIGNED_INTROSPECTION, "token-introspection+jwt")
        signed = parse_signed_introspection(
            introspection_jwt(_reply("application/token-introspection+jwt", raw)), SIGNED_CLIENT
        )
        answer = check_signed_introspection(signed, KEYS, issuer=ISSUER, client=SIGNED_CLIENT, now=NOW)
        assert answer.members["active"] is True
        return True
    return False


def check_response(made: Made) -> bool:
    with Foreseen():
        response = _response({"response": made.written(JARM), "state": "planted"}, SIGNED_CLIENT)
        assert response.code.isascii()
        return True
    return False


def check_encrypted(made: Encrypted) -> bool:
    raw = made.written()
    accepted = False
    for algorithm in (made.algorithm, "dir", "A256GCMKW"):
        with Foreseen():
            assert isinstance(decrypt(raw, algorithm=algorithm, encoding="A128GCM", keys=OWN_KEYS, secret=SECRET), str)
            accepted = True
    return accepted


def _response(parameters: Mapping[str, str], client: Client) -> AuthorizationResponse:
    # As the callback does: the state, of which nothing is proven yet, looks for a cookie first.
    received = read_response(parameters, client, posted=False)
    assert find_transaction(POLICY, "a=b", received.state) is None
    return check_authorization_response(received, TRANSACTION, metadata=METADATA, client=client, keys=KEYS, now=NOW)


def _reply(media_type: str, raw: str) -> Reply:
    return Reply(status=200, headers={"content-type": media_type}, body=raw.encode("utf-8", "replace"))


def made(dice: Dice) -> Made:
    """Choose how a token is made."""
    return Made(
        dice.pick((*SIGNING, "EdDSA", "EdDSA", "HS256", "HS256")),
        alterations(dice, 2) if dice.below(3) == 2 else [],
        alterations(dice, 3),
        token_changes(dice),
    )


def encrypted(dice: Dice) -> Encrypted:
    """Choose how a token is encrypted."""
    header = alterations(dice, 2) if dice.below(2) == 1 else []
    return Encrypted(
        dice.pick(ENCRYPTION), header, dice.pick((b"a.b.c", b"", b"\xff", b"a" * 70_000)), token_changes(dice)
    )


TARGETS: Final = (
    Target(name="JWS", make=made, check=check_jws, share=20),
    Target(name="ID token", make=made, check=check_login_token, share=30),
    Target(name="ID token by the browser", make=made, check=check_front_channel_token),
    Target(name="ID token of a refresh", make=made, check=check_refreshed_token),
    Target(name="signed userinfo", make=made, check=check_userinfo),
    Target(name="signed introspection", make=made, check=check_introspection),
    Target(name="signed response", make=made, check=check_response, share=20),
    Target(name="JWE", make=encrypted, check=check_encrypted),
)
"""What is signed or encrypted."""
