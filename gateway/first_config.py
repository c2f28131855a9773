"""The first configuration: a few answers, checked one by one, as a short file and the secrets beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from gateway.config_session_model import STORE_URLS, StoreModel
from gateway.config_text import config_text
from gateway.config_values import Origin, ProtectedURL, UpstreamURL
from gateway.oidc.metadata import is_loopback
from gateway.presets import Preset, checked_answer, provider_section

FILE_STORE = "file"

T = TypeVar("T")

_ORIGIN: TypeAdapter[str] = TypeAdapter(Origin)
_PROTECTED: TypeAdapter[str] = TypeAdapter(ProtectedURL)
_UPSTREAM: TypeAdapter[str] = TypeAdapter(UpstreamURL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswers:
    """What was answered, each checked; `upstream` is empty around an app, `store` is `file` or the URL of a server.

    `client_secret` is empty where it comes from elsewhere, `public_client` says that there is none.
    """

    public_url: str
    preset: Preset
    provider: Mapping[str, str]
    client_id: str
    upstream: str
    store: str
    client_secret: str = field(default="", repr=False)
    public_client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstConfig:
    """The document and its text, which hold no secret, and the secrets by the names of their files."""

    document: Mapping[str, object]
    text: str
    secrets: Mapping[str, str] = field(repr=False)


def checked_public_url(value: str) -> str:
    """Check a public URL as the configuration does; raises `ValueError` in its words."""
    return _checked(lambda: _ORIGIN.validate_python(value.strip()))


def checked_upstream(value: str) -> str:
    """Check an upstream as the configuration does, none included; raises `ValueError` in its words."""
    text = value.strip()
    return _checked(lambda: _UPSTREAM.validate_python("" if text.lower() == "none" else text))


def checked_store(value: str) -> str:
    """Check `file` or the URL of a server; raises `ValueError`."""
    text = value.strip()
    if text != FILE_STORE:
        _checked(lambda: StoreModel.model_validate({"type": _store_type(text), "url": text}))
    return text


def checked_provider_answer(question: str, value: str) -> str:
    """Check what a preset asks; raises `ValueError`."""
    answer = checked_answer(question, value)
    if question in ("issuer", "base_url"):
        _checked(lambda: _PROTECTED.validate_python(answer))
    return answer


def first_config(answers: FirstAnswers, session_secret: str) -> FirstConfig:
    """Make the file and the secrets."""
    provider = provider_section(answers.preset, answers.provider, answers.client_id)
    if answers.public_client:
        provider["token_endpoint_auth_method"] = "none"
    document: dict[str, object] = {"public_url": answers.public_url}
    if answers.upstream:
        document["upstream"] = answers.upstream
    document["provider"] = provider
    session, secrets = _session(answers.store)
    document["session"] = session
    secrets["session__secret"] = session_secret
    if answers.client_secret:
        secrets["provider__client_secret"] = answers.client_secret
    return FirstConfig(document=document, text=_text(answers, document), secrets=secrets)


def warnings_of(answers: FirstAnswers) -> list[str]:
    """Say what should not stay as it is."""
    parts = urlsplit(answers.public_url)
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return ["public_url is http, so cookies are not protected: it will do to try things out on this machine alone"]
    return []


def _session(store: str) -> tuple[dict[str, object], dict[str, str]]:
    if store == FILE_STORE:
        return {"store": {"type": FILE_STORE, "path": "var/sessions"}}, {}
    kind = _store_type(store)
    if "@" in store:  # It holds a password.
        return {"store": {"type": kind}}, {"session__store__url": store}
    return {"store": {"type": kind, "url": store}}, {}


def _store_type(url: str) -> str:
    kinds = (kind for kind, begins in STORE_URLS.items() if url.startswith(begins))
    return next(kinds, "redis")


def _text(answers: FirstAnswers, document: Mapping[str, object]) -> str:
    head = (
        "The gateway's configuration. config.yaml in its repository shows every key; `gateway schema` describes them.",
        "Secrets are in the directory that GATEWAY_SECRETS_DIR names. `gateway check` tells what is wrong.",
    )
    behind = "What is behind the gateway; every request there carries the user's access token."
    rules = (
        "Rules for paths, the first that fits holds; where none does, a login is required. For example:",
        "routes:",
        "  - {path: /public/**, access: public}",
        "  - {path: /admin/**, require: {claims: {groups: [staff]}}}",
    )
    comments = {
        "public_url": ("What the browser sees; redirect URI, cookies and logout follow from it.",),
        "upstream": (behind,),
        "provider": (
            f"{answers.preset.title}; the client is registered in {answers.preset.register}.",
            *answers.preset.notes,
        ),
        "session": ("Where sessions are kept: files for the workers of one machine, Redis for several.",),
        "routes": rules,
    }
    shown = {name: lines for name, lines in comments.items() if name in document or name == "routes"}
    return config_text(head, document, shown)


def _checked(check: Callable[[], T]) -> T:
    try:
        return check()
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
