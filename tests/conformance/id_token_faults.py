"""The faults of an ID token that the plans share."""

from typing import Final

from harness import changed, suffixed, without

from conformance.cases import Row
from gateway.testing import with_altered_signature, without_signature

_WEEK: Final = 7 * 86_400

CLAIM_FAULTS: Final = (
    Row(name="iss", ids=("B2", "F2", "A4"), claims=suffixed("iss"), code="id_token_iss_mismatch"),
    Row(name="iss-slash", ids=(), claims=suffixed("iss", "/"), code="id_token_iss_mismatch"),
    Row(name="no-iss", ids=("A12",), claims=without("iss"), code="id_token_claim_invalid", about="iss is "),
    Row(name="no-sub", ids=("B3", "F3"), claims=without("sub"), code="id_token_claim_invalid", about="sub is "),
    Row(name="aud", ids=("B4", "F4", "A5"), claims=suffixed("aud"), code="id_token_aud_mismatch"),
    Row(name="no-aud", ids=("K1", "A11"), claims=without("aud"), code="id_token_claim_invalid", about="aud is "),
    Row(
        name="second-aud",
        ids=("A6",),
        claims=lambda one: {**one, "aud": [one["aud"], f"{one['aud']}1"]},
        code="id_token_azp_mismatch",
    ),
    Row(name="azp", ids=(), claims=changed(azp="another"), code="id_token_azp_mismatch"),
    Row(name="no-iat", ids=("B5", "F5"), claims=without("iat"), code="id_token_claim_invalid", about="iat is "),
    Row(
        name="expired",
        ids=("A9",),
        claims=lambda one: {**one, "exp": int(str(one["iat"])) - 360},
        code="id_token_expired",
    ),
    Row(name="no-exp", ids=("A10",), claims=without("exp"), code="id_token_claim_invalid", about="exp is "),
    Row(
        name="iat-a-week-ago",
        ids=(),
        claims=lambda one: {**one, "iat": int(str(one["iat"])) - _WEEK},
        code="id_token_too_old",
    ),
    Row(name="nonce", ids=("B12", "F12", "A14"), claims=suffixed("nonce"), code="id_token_nonce_mismatch"),
    Row(name="no-nonce", ids=("A15",), claims=without("nonce"), code="id_token_claim_invalid", about="nonce is "),
)

TOKEN_FAULTS: Final = (
    Row(name="alg-none", ids=("B9", "C4", "F9", "A7"), token=without_signature, code="jwt_alg_refused"),
    # Keys may have been replaced since, so they are fetched once more.
    Row(name="signature", ids=(), token=with_altered_signature, code="jwt_signature_invalid", refetch=True),
)

ALL: Final = (*CLAIM_FAULTS, *TOKEN_FAULTS)
