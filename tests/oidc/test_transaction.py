"""One login attempt (CONFORMANCE H10; RFC 7636 4.1, RFC 9700 2.1)."""

from dataclasses import replace

from gateway.oidc.challenge import StepUp
from gateway.oidc.messages import Moment
from gateway.oidc.transaction import Transaction, new_transaction
from oidc.parties import ISSUER, TRANSACTION, CountingEntropy


def test_a_transaction_has_three_secrets_of_256_bits() -> None:
    """H10, RFC 7636 4.1: 43 characters of base64url, each from bytes of its own."""
    transaction = new_transaction(
        provider="op",
        issuer=ISSUER,
        return_to="/a",
        moment=Moment(now=1000, entropy=CountingEntropy()),
        demand=StepUp(max_age=60),
    )
    secrets = {transaction.state, transaction.nonce, transaction.code_verifier}
    assert len(secrets) == 3
    assert all(len(secret) == 43 and secret.replace("-", "").replace("_", "").isalnum() for secret in secrets)
    assert (transaction.issuer, transaction.return_to, transaction.created_at, transaction.max_age) == (
        ISSUER,
        "/a",
        1000,
        60,
    )


def test_two_transactions_share_no_secret() -> None:
    """RFC 9700 2.1.1: transaction-specific."""
    moment = Moment(now=1000, entropy=CountingEntropy())
    one, other = (new_transaction(provider="op", issuer=ISSUER, return_to="/", moment=moment) for _ in range(2))
    assert not {one.state, one.nonce, one.code_verifier} & {other.state, other.nonce, other.code_verifier}


def test_a_transaction_remembers_what_it_was_begun_for() -> None:
    transaction = new_transaction(
        provider="op2",
        issuer=ISSUER,
        return_to="/b",
        moment=Moment(now=1000, entropy=CountingEntropy()),
        demand=StepUp(acr_values=("gold", "silver"), max_age=0),
        silent=True,
        replaces=["s1", "s2"],
    )
    assert transaction == Transaction(
        provider="op2",
        issuer=ISSUER,
        state=transaction.state,
        nonce=transaction.nonce,
        code_verifier=transaction.code_verifier,
        return_to="/b",
        created_at=1000,
        max_age=0,
        acr_values=("gold", "silver"),
        silent=True,
        replaces=("s1", "s2"),
    )


def test_a_transaction_demands_nothing_unless_told() -> None:
    moment = Moment(now=1000, entropy=CountingEntropy())
    transaction = new_transaction(provider="op", issuer=ISSUER, return_to="/", moment=moment)
    assert (transaction.max_age, transaction.acr_values, transaction.silent) == (None, (), False)
    assert (transaction.dpop_key, transaction.replaces) == (None, ())


def test_a_transaction_keeps_its_secrets_out_of_its_repr() -> None:
    transaction = replace(TRANSACTION, state="s3cret", nonce="s3cret", code_verifier="s3cret", dpop_key="s3cret")
    assert "s3cret" not in repr(transaction)
