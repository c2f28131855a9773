"""A browser without a screen: it walks the pages of the npm provider over plain HTTP, where Chromium takes seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final, Literal
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

HTTP_SECONDS: Final = 10.0
MAX_STEPS: Final = 12


class SignInError(RuntimeError):
    """The provider did not answer with a way on: an error page, a wrong password, too many pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the provider makes the browser bring to the client: a redirect (GET), or a form that it posts."""

    method: Literal["GET", "POST"]
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)
    origin: str

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters, wherever they are: the form's fields, the query or the fragment."""
        target = urlsplit(self.url)
        return {**dict(parse_qsl(target.query)), **dict(parse_qsl(target.fragment)), **self.fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    action: str
    fields: dict[str, str]


def sign_in_over_http(
    session: requests.Session, authorization_url: str, login: str = "alice", password: str = "correct horse"
) -> Delivery:
    """Sign in, where the provider asks for it, and return the authorization response, which is not sent.

    The session keeps the provider's cookies: a second sign-in with it passes without a form. `session.verify` names the
    authority of an https issuer. Raises SignInError.
    """
    return _walk(session, authorization_url, {"login": login, "password": password, "action": "login"})


def cancel_over_http(session: requests.Session, authorization_url: str) -> Delivery:
    """Cancel at the login form, and return the authorization error response. Raises SignInError."""
    return _walk(session, authorization_url, {"action": "cancel"})


def sign_out_over_http(session: requests.Session, end_session_url: str) -> Delivery:
    """Sign out at the provider, and return the redirect to post_logout_redirect_uri. Raises SignInError."""
    return _walk(session, end_session_url, {"logout": "yes"})


def deliver(session: requests.Session, delivery: Delivery) -> requests.Response:
    """Bring the response to the client as a browser would, without following the client's own redirect.

    A form comes with the provider as its Origin. What SameSite would hold back is not modelled: only a browser tells.
    """
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    if delivery.method == "GET":
        return _send(session, "GET", delivery.url, None, headers)
    return _send(session, "POST", delivery.url, delivery.fields, {**headers, "Origin": delivery.origin})


def _walk(session: requests.Session, url: str, answers: Mapping[str, str]) -> Delivery:
    origin = _origin(url)
    answer = _send(session, "GET", url, None, {})
    for _ in range(MAX_STEPS):
        location = answer.headers.get("Location")
        if location is not None:
            target = urljoin(answer.url, location)
            if _origin(target) != origin:
                return Delivery(method="GET", url=target, origin=origin)
            answer = _send(session, "GET", target, None, {})
            continue
        form = _only_form(answer)
        if _origin(form.action) != origin:
            return Delivery(method="POST", url=form.action, fields=form.fields, origin=origin)
        if answer.status_code >= requests.codes.bad_request:
            raise SignInError(_text(answer))
        answer = _send(session, "POST", form.action, {**form.fields, **answers}, {})
    raise SignInError(f"no end after {MAX_STEPS} pages")


def _send(
    session: requests.Session, method: str, url: str, data: Mapping[str, str] | None, headers: Mapping[str, str]
) -> requests.Response:
    return session.request(
        method,
        url,
        data=data,
        headers=dict(headers),
        allow_redirects=False,
        timeout=HTTP_SECONDS,
        verify=session.verify,
    )


def _origin(url: str) -> str:
    target = urlsplit(url)
    return f"{target.scheme}://{target.netloc}"


def _only_form(answer: requests.Response) -> _Form:
    parser = _FormParser()
    parser.feed(answer.text)
    if parser.action is None:
        raise SignInError(_text(answer))
    return _Form(action=urljoin(answer.url, parser.action), fields=parser.fields)


def _text(answer: requests.Response) -> str:
    return f"status {answer.status_code}: {answer.text[:1000]}"


class _FormParser(HTMLParser):
    """Reads the first form's action and every named input; pages of the provider have one form."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action")
        name = attributes.get("name")
        if tag == "input" and name:
            self.fields[name] = attributes.get("value") or ""
