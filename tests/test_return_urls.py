"""Return URLs (DESIGN 5 rule 6, RFC 9700 4.11.1): a path on this site, rebuilt from its parts, or a refusal."""

import corpora
import pytest

from gateway.errors import GatewayError
from gateway.target import MAX_TARGET_LENGTH, safe_return_to

PUBLIC_URL = "https://app.example"
REFUSED = "return_url_refused"


@pytest.mark.parametrize(("url", "path"), corpora.pairs("return_urls", "url", refused=False))
def test_return_urls(url: str, path: str) -> None:
    assert safe_return_to(url, PUBLIC_URL) == path


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *corpora.pairs("return_urls", "url", refused=True),
        pytest.param("/" + "a" * MAX_TARGET_LENGTH, REFUSED, id="long"),
    ],
)
def test_return_urls_that_are_refused(url: str, code: str) -> None:
    assert safe_return_to("/a", PUBLIC_URL) == "/a"
    with pytest.raises(GatewayError) as error:
        safe_return_to(url, PUBLIC_URL)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("public_url", "url"),
    [
        pytest.param("https://localhost:5443", "https://localhost:5443/a", id="port"),
        pytest.param("http://localhost:8000", "http://LOCALHOST:8000/a", id="http"),
        pytest.param("https://App.example/", "https://app.example/a", id="public URL in upper case, with a slash"),
    ],
)
def test_the_own_origin_is_that_of_the_public_url(public_url: str, url: str) -> None:
    assert safe_return_to(url, public_url) == "/a"
    with pytest.raises(GatewayError) as error:
        safe_return_to("https://localhost/a", public_url)
    assert error.value.code == "return_url_refused"
