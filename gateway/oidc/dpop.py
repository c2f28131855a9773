"""DPoP: a proof with every request, so that a stolen access token is worth nothing without our key (RFC 9449)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.errors import GatewayError
from gateway.oidc.challenge import parse_challenges
from gateway.oidc.keys import thumbprint
from gateway.oidc.messages import Call, Entropy, Moment, Reply, base64url, json_object, s256

DPOP_ALGORITHM = "ES256"
"""The one algorithm of our proofs: every server that knows DPoP knows it, and it is among FAPI 2's."""

_NONCE_RE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")  # NQCHAR of RFC 6749 appendix A, RFC 9449 8.1.
_SCALAR_RE = re.compile(r"[A-Za-z0-9_-]{43}")
_USE_NONCE = "use_dpop_nonce"
_CURVE = ec.SECP256R1()
_SIGNATURE = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class DPoPKey:
    """The P-256 key of one session's proofs, parsed once; `thumbprint` is the `jkt` that tokens are bound to.

    Two are equal when their thumbprints are.
    """

    thumbprint: str
    public_jwk: Mapping[str, str] = field(compare=False, repr=False)
    header: str = field(compare=False, repr=False)
    private: ec.EllipticCurvePrivateKey = field(compare=False, repr=False)

    def to_text(self) -> str:
        """Write the private key as 43 characters of base64url, to be kept sealed; `dpop_key_from_text` reads it."""
        return base64url(self.private.private_numbers().private_value.to_bytes(32, "big"))


def new_dpop_key(entropy: Entropy) -> DPoPKey:
    """Make a key from 48 random bytes, which leave no noticeable bias (FIPS 186-5 A.2.1)."""
    return _key(1 + int.from_bytes(entropy(48), "big") % (_CURVE.group_order - 1))


def dpop_key_from_text(text: str) -> DPoPKey:
    """Read what `to_text` wrote; raises `ValueError` for anything else."""
    if not _SCALAR_RE.fullmatch(text):
        raise ValueError("not a DPoP key")
    scalar = int.from_bytes(base64.urlsafe_b64decode(text + "="), "big")
    if not 0 < scalar < _CURVE.group_order:
        raise ValueError("not a DPoP key")
    key = _key(scalar)
    if key.to_text() != text:  # The last character has bits that say nothing.
        raise ValueError("not a DPoP key")
    return key


def bound_key(text: str | None) -> DPoPKey | None:
    """Read the key that tokens are bound to, where they are; raises as `dpop_key_from_text` does."""
    return None if text is None else dpop_key_from_text(text)


def proof(
    key: DPoPKey, *, method: str, url: str, moment: Moment, nonce: str | None = None, access_token: str | None = None
) -> str:
    """Make a proof for one request, never to be sent twice (RFC 9449 4.2, 7.3).

    `access_token` is the one that the request carries, so None at the token endpoint; `nonce` is the newest one of the
    server that is asked.
    """
    claims: dict[str, object] = {
        "jti": base64url(moment.entropy(16)),
        "htm": method,
        "htu": _target(url),
        "iat": moment.now,
    }
    if access_token is not None:
        claims["ath"] = s256(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    signed = f"{key.header}.{_encoded(claims)}"
    return f"{signed}.{_signature(key, signed)}"


def with_proof(
    call: Call, key: DPoPKey, moment: Moment, nonce: str | None = None, *, access_token: str | None = None
) -> Call:
    """Give a call a fresh proof in place of an earlier one, and the access token, if there is one (RFC 9449 7.1)."""
    headers = {
        "DPoP": proof(key, method=call.method, url=call.url, moment=moment, nonce=nonce, access_token=access_token)
    }
    if access_token is not None:
        headers["Authorization"] = f"DPoP {access_token}"
    replaced = {name.lower() for name in headers}
    kept = {name: value for name, value in call.headers.items() if name.lower() not in replaced}
    return replace(call, headers={**kept, **headers})


def offered_nonce(reply: Reply) -> str | None:
    """Return the nonce for the next proof, which an answer of any status may bring (RFC 9449 8.2).

    None where there is none, and for what is no nonce: empty, longer than 1024 characters, with a space or a quote.
    """
    nonce = reply.headers.get("dpop-nonce", "")
    return nonce if _NONCE_RE.fullmatch(nonce) else None


def demands_nonce(reply: Reply) -> bool:
    """Tell whether the server refused for want of a nonce: an authorization server's JSON, a resource's challenge.

    RFC 9449 8 and 9. The request may be sent once more if `offered_nonce` has one that it did not carry.
    """
    if reply.status == 401 and any(
        challenge.scheme == "dpop" and challenge.parameters.get("error") == _USE_NONCE
        for challenge in parse_challenges(reply.headers.get("www-authenticate", ""))
    ):
        return True
    return reply.status in (400, 401) and _json_error(reply) == _USE_NONCE


def _json_error(reply: Reply) -> object:
    try:
        return json_object(reply).get("error")
    except GatewayError:
        return None


def _key(scalar: int) -> DPoPKey:
    private = ec.derive_private_key(scalar, _CURVE)
    numbers = private.public_key().public_numbers()
    x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    header = _encoded({"typ": "dpop+jwt", "alg": DPOP_ALGORITHM, "jwk": jwk})
    return DPoPKey(thumbprint=thumbprint(jwk), public_jwk=jwk, header=header, private=private)


def _target(url: str) -> str:
    # htu has neither query nor fragment; a URL without a path is asked for with `/` (RFC 9449 4.2, RFC 9110 4.2.3).
    target = url.partition("#")[0].partition("?")[0]
    return target if "/" in target.partition("://")[2] else f"{target}/"


def _encoded(members: Mapping[str, object]) -> str:
    return base64url(json.dumps(members, separators=(",", ":")).encode("ascii"))


def _signature(key: DPoPKey, signed: str) -> str:
    r, s = decode_dss_signature(key.private.sign(signed.encode("ascii"), _SIGNATURE))
    return base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
