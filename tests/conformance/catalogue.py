"""What a relying party is held to: the ids of the cases, the modules that they are named after, and the verdicts.

The names are those of the OpenID Foundation's test plans for relying parties. The verdicts: `OK`, the login, or the
sign-out, completes; `X-disc`, nothing is asked for after discovery; `X-az`, the code is not redeemed; `X-idt`, the
tokens are not used; `X-ui`, what userinfo said is not used; `200` and `400`, what a logout token is answered; `held`,
a rule that every call keeps; `any`, both ways are right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["OK", "X-disc", "X-az", "X-idt", "X-ui", "200", "400", "held", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A case: `verdict` is what has to come of it, `limit` says what the gateway does not do, and why."""

    id: str
    name: str
    verdict: Verdict
    supported: Literal["yes", "partly", "no"] = "yes"
    limit: str = ""


_BASIC: Final[tuple[tuple[str, Verdict], ...]] = (
    ("response_type=code", "OK"),
    ("invalid-iss", "X-idt"),
    ("missing-sub", "X-idt"),
    ("invalid-aud", "X-idt"),
    ("missing-iat", "X-idt"),
    ("kid-absent-single-jwks", "OK"),
    ("kid-absent-multiple-jwks", "any"),
    ("idtoken-sig-rs256", "OK"),
    ("idtoken-sig-none", "any"),
    ("invalid-sig-rs256", "X-idt"),
    ("userinfo-invalid-sub", "X-ui"),
    ("nonce-invalid", "X-idt"),
    ("scope-userinfo-claims", "OK"),
    ("client-secret-basic", "OK"),
)

_CONFIG: Final[tuple[tuple[str, str, Verdict], ...]] = (
    ("C1", "discovery-openid-config", "OK"),
    ("C2", "discovery-jwks-uri-keys", "OK"),
    ("C3", "discovery-issuer-mismatch", "X-disc"),
    ("C4", "idtoken-sig-none", "any"),
    ("C5", "signing-key-rotation-just-before-signing", "OK"),
    ("C6", "signing-key-rotation", "OK"),
    ("D3", "discovery-openid-config, registered", "OK"),
    ("D4", "discovery-jwks-uri-keys, registered", "OK"),
    ("D5", "discovery-issuer-mismatch, registered", "X-disc"),
    ("D6", "dynamic-registration", "OK"),
    ("D9", "idtoken-sig-none, registered", "any"),
    ("D10", "signing-key-rotation-just-before-signing, registered", "OK"),
    ("D11", "signing-key-rotation, registered", "OK"),
    ("D12", "userinfo-signed", "OK"),
    ("FX", "form-post-error", "X-az"),
    ("K1", "missing-aud", "X-idt"),
    ("K2", "invalid-sig-hs256", "X-idt"),
    ("K3", "invalid-sig-es256", "X-idt"),
    ("K4", "userinfo-bearer-header", "OK"),
    ("K6", "aggregated-claims", "OK"),
    ("K7", "distributed-claims", "OK"),
    ("K8", "mtls-endpoint-aliases", "OK"),
    ("R1", "refresh-token", "OK"),
    ("R2", "refresh-token-invalid-issuer", "X-idt"),
    ("R3", "refresh-token-invalid-sub", "X-idt"),
    ("T1", "3rd-party-init-login", "OK"),
)

_LOGOUT: Final[tuple[tuple[str, Verdict], ...]] = (
    ("init-logout", "OK"),
    ("init-logout-other-state", "OK"),
    ("init-logout-no-state", "OK"),
    ("frontchannel-rpinitlogout", "OK"),
    ("frontchannel-opinitlogout", "OK"),
    ("backchannel-rpinitlogout", "200"),
    ("backchannel-rpinitlogout-alg-none", "400"),
    ("backchannel-rpinitlogout-wrong-alg", "400"),
    ("backchannel-rpinitlogout-wrong-iss", "400"),
    ("backchannel-rpinitlogout-wrong-aud", "400"),
    ("backchannel-rpinitlogout-no-event", "400"),
    ("backchannel-rpinitlogout-wrong-event", "400"),
    ("backchannel-rpinitlogout-with-nonce", "400"),
)

_RULES: Final = (
    ("P1", "pushed request; client_id and request_uri alone in the address"),
    ("P2", "code, PKCE with S256, nonce, our client_id and redirect_uri"),
    ("P3", "private_key_jwt: aud is the issuer as one text, a new jti each time, at most a day"),
    ("P4", "PS256, ES256 or EdDSA alone; keys long enough, each kid once"),
    ("P5", "DPoP proof: type, public key, jti, htm, htu, iat, ath; the same key throughout"),
    ("P6", "DPoP nonces: one repetition, those of server and resource apart, the newest"),
    ("P7", "mutual TLS: the certificate at every call, at the aliases"),
    ("P8", "the token in the Authorization header alone"),
    ("P9", "decoy keys with the same kid"),
    ("P10", "TLS 1.2 or newer"),
    ("P11", "request object: type, lifetime, aud; no request, request_uri or sub inside"),
)

_FAPI: Final[tuple[tuple[str, Verdict], ...]] = (
    ("happy-path", "OK"),
    ("happy-path-no-dpop-nonce", "OK"),
    ("discovery-issuer-mismatch", "X-disc"),
    ("invalid-iss", "X-idt"),
    ("invalid-aud", "X-idt"),
    ("invalid-secondary-aud", "X-idt"),
    ("invalid-null-alg", "X-idt"),
    ("invalid-alternate-alg", "X-idt"),
    ("invalid-expired-exp", "X-idt"),
    ("invalid-missing-exp", "X-idt"),
    ("invalid-missing-aud", "X-idt"),
    ("invalid-missing-iss", "X-idt"),
    ("valid-aud-as-array", "OK"),
    ("invalid-nonce", "X-idt"),
    ("invalid-missing-nonce", "X-idt"),
    ("invalid-authorization-response-iss", "X-az"),
    ("remove-authorization-response-iss", "X-az"),
    ("ensure-authorization-response-with-invalid-state-fails", "X-az"),
    ("ensure-authorization-response-with-invalid-missing-state-fails", "X-az"),
    ("token-endpoint-response-without-expires_in", "OK"),
    ("token-type-case-insensitivity", "OK"),
    ("rs-dpop-auth-scheme-case-insensitivity", "OK"),
    ("ensure-jarm-without-iss-fails", "X-az"),
    ("ensure-jarm-with-invalid-iss-fails", "X-az"),
    ("ensure-jarm-without-aud-fails", "X-az"),
    ("ensure-jarm-with-invalid-aud-fails", "X-az"),
    ("ensure-jarm-without-exp-fails", "X-az"),
    ("ensure-jarm-with-expired-exp-fails", "X-az"),
    ("ensure-jarm-with-invalid-sig-fails", "X-az"),
    ("ensure-jarm-signature-is-not-none", "X-az"),
)

_LIMITED: Final = (
    Module(
        id="K5",
        name="userinfo-bearer-body",
        verdict="any",
        supported="no",
        limit="RFC 6750 2.2 advises against a token in the body; the header alone is used",
    ),
    Module(
        id="L14",
        name="session-management",
        verdict="OK",
        supported="no",
        limit="its frames need third-party cookies, which browsers block; back-channel logout does what it was for",
    ),
    Module(
        id="A31",
        name="refresh-token-test",
        verdict="OK",
        supported="partly",
        limit="a 401 of the resource renews the token, but that is shown for bearer tokens alone",
    ),
    Module(
        id="A32",
        name="invalid-openbanking-intent-id",
        verdict="X-idt",
        supported="no",
        limit="of single claims asked for, only an essential `acr` is compared with the ID token",
    ),
)


def _modules() -> Iterator[Module]:
    for letter, plan in (("B", ""), ("F", ", form_post")):
        for number, (name, verdict) in enumerate(_BASIC, start=1):
            yield Module(id=f"{letter}{number}", name=name + plan, verdict=verdict)
    yield from (Module(id=case, name=name, verdict=verdict) for case, name, verdict in _CONFIG)
    for number, (name, verdict) in enumerate(_LOGOUT, start=1):
        yield Module(id=f"L{number}", name=name, verdict=verdict)
    yield from (Module(id=case, name=name, verdict="held") for case, name in _RULES)
    for number, (name, verdict) in enumerate(_FAPI, start=1):
        yield Module(id=f"A{number}", name=name, verdict=verdict)
    yield from _LIMITED


def _order(module: Module) -> tuple[int, int]:
    number = module.id[1:]
    return "BCDFKRTLPA".index(module.id[0]), int(number) if number.isdigit() else 99


MODULES: Final = {module.id: module for module in sorted(_modules(), key=_order)}
"""All cases, by id and in the order of the plans."""
