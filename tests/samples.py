"""Values to begin from; a test replaces what it is about."""

from typing import Final

from gateway.session import Session

SESSION: Final = Session(
    id="s1",
    provider="default",
    issuer="https://op.example",
    client_id="app",
    subject="u1",
    claims={"sub": "u1"},
    scope="openid",
    access_token="the-access-token",
    token_scheme="Bearer",
    dpop_key=None,
    access_issued_at=1000,
    access_expires_at=None,
    refresh_token=None,
    id_token=None,
    created_at=1000,
    seen_at=1000,
    ends_at=1_000_000_000_000,
)
