"""RP-initiated logout (OIDC RP-Initiated Logout 1.0 section 2, CONFORMANCE L1)."""

from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.oidc.client import Client
from gateway.oidc.logout import end_session_url

CLIENT: Final = Client(
    client_id="c 1%&+",
    client_secret="s3cret",
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/bye?x=1&y=2",
)
PARAMETERS: Final = {
    "client_id": "c 1%&+",
    "post_logout_redirect_uri": "https://app.example/bye?x=1&y=2",
    "state": "s t",
}


@pytest.mark.parametrize(
    ("endpoint", "id_token", "members"),
    [
        pytest.param("https://op.example/logout", "a.b.c", {"id_token_hint": "a.b.c"}, id="L1 with a hint"),
        pytest.param("https://op.example/logout", None, {}, id="without a hint"),
        pytest.param("https://op.example/logout?t=1", None, {"t": "1"}, id="endpoint with a query"),
    ],
)
def test_the_end_session_url(endpoint: str, id_token: str | None, members: dict[str, str]) -> None:
    url = end_session_url(endpoint, CLIENT, id_token=id_token, state="s t")
    assert url.startswith("https://op.example/logout?")
    pairs = parse_qsl(urlsplit(url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    assert dict(pairs) == {**PARAMETERS, **members}
