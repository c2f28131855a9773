"""The failure of a login, with the way to another one."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import GatewayError


class LoginFailed(GatewayError):
    """A login failed; `return_to` is what the user may try to reach again, `cookies` are `Set-Cookie` lines."""

    def __init__(self, error: GatewayError, return_to: str, cookies: Sequence[str] = ()) -> None:
        super().__init__(error.problem, error.detail, retry_after=error.retry_after)
        self.return_to = return_to
        self.cookies = tuple(cookies)
