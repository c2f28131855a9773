"""A configuration of oauth2-proxy as one of ours, with a report; what cannot be said lets nobody pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.config_text import config_text
from gateway.migration.given import Given
from gateway.migration.people import restrictions
from gateway.migration.provider import provider_part
from gateway.migration.report import Item, Report, make_report
from gateway.migration.rest import STORE_URL, address_part, connection_part, proxies_part, session_part
from gateway.migration.routes import routes_part

_HEAD = (
    "Made of a configuration of oauth2-proxy by `gateway migrate oauth2-proxy`; read its report beside this.",
    "`gateway routes explain GET /path` tells which rule a request meets; config.yaml of the gateway shows all keys.",
)
_STAND_INS = {
    "GATEWAY_SESSION__SECRET": "stands for a secret that is not made yet",
    "GATEWAY_PROVIDER__CLIENT_SECRET": "stands for a client secret of any length",
    STORE_URL: "redis://stands-in.invalid/0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What was made: the document, its text, the report, and the secrets to set, each with what it must be.

    `problems` are what our own loader says of it.
    """

    document: Mapping[str, object]
    text: str
    report: Report
    secrets: Mapping[str, str]
    problems: tuple[str, ...]


def read_text(path: str) -> str:
    """Read a file that a configuration names; raises `OSError` and `UnicodeDecodeError`."""
    return Path(path).read_text(encoding="utf-8")


def convert(given: Given, public_url: str = "", read: Callable[[str], str] = read_text) -> Conversion:
    """Convert what oauth2-proxy was given; `read` reads the files that it names."""
    who = restrictions(given, read)
    routes, provider = routes_part(given, who), provider_part(given)
    address, session = address_part(given, public_url), session_part(given)
    proxies, connection = proxies_part(given, asks_only=routes.asks_only), connection_part(given)
    document: dict[str, object] = {
        **address.sections,
        **({"upstream": routes.upstream} if routes.upstream else {}),
        "provider": dict(provider.section),
        **session.sections,
        "routes": list(routes.rules),
        **proxies.sections,
        **connection.sections,
    }
    items = (*who.items, *routes.items, *provider.items, *address.items, *session.items, *proxies.items)
    return Conversion(
        document=document,
        text=config_text(_HEAD, document, {"provider": provider.notes, **_comments(session.secrets, who.closed)}),
        report=make_report(given, items),
        secrets=session.secrets,
        problems=_problems(document, session.secrets),
    )


def _comments(secrets: Mapping[str, str], closed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    lines = [f"To be set in the environment or in GATEWAY_SECRETS_DIR: {', '.join(secrets)}."]
    comments = {"session": tuple(lines)}
    if closed:
        names = ", ".join(name if name.isidentifier() else repr(name[:40]) for name in closed)
        comments["routes"] = (
            f"Nobody may pass, since this cannot be said here: {names}.",
            "Say it in `require`, or leave it out on purpose; then take `access: deny` away.",
        )
    return comments


def _problems(document: Mapping[str, object], secrets: Mapping[str, str]) -> tuple[str, ...]:
    try:
        parse_settings(document, {name: value for name, value in _STAND_INS.items() if name in secrets})
    except ConfigurationError as error:
        return tuple(error.problems)
    return ()


def report_items(report: Report) -> list[dict[str, str]]:
    """Write the lines of a report for programs."""
    return [_members(item) for item in report.items]


def _members(item: Item) -> dict[str, str]:
    return {"option": item.option, "outcome": item.outcome.value, "text": item.text}
