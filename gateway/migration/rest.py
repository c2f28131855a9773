"""Where the gateway is reached, where sessions are kept, and how proxies ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.config_docs import duration_text
from gateway.migration.given import Given
from gateway.migration.report import Item, Outcome

NOWHERE = "https://put-your-host-here.invalid"
"""Stands for a public URL that nobody named."""

STORE_URL = "GATEWAY_SESSION__STORE__URL"

_LOCAL = ["127.0.0.1", "::1"]
_LONGEST = 366 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some sections, what is said of them, and the names of secrets to set, each with what it must be."""

    sections: dict[str, object]
    items: list[Item] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)


def address_part(given: Given, public_url: str) -> Part:
    """Say what the browser sees; `public_url` wins over what `redirect_url` says, and may be empty."""
    redirect, prefix = given.text("redirect_url"), given.text("proxy_prefix").rstrip("/") or "/oauth2"
    parts = urlsplit(redirect)
    sections: dict[str, object] = {"public_url": public_url or f"{parts.scheme}://{parts.netloc}"}
    items = []
    if not public_url and not (parts.scheme and parts.netloc):
        sections["public_url"] = NOWHERE
        text = "does not say the host; give --public-url"
        items.append(Item(option="redirect_url", outcome=Outcome.REFUSED, text=text))
    if prefix != "/oauth2":
        sections["prefix"] = prefix
    if parts.path and parts.path != f"{prefix}/callback":
        sections["callback_path"] = parts.path
    return Part(sections=sections, items=items)


def session_part(given: Given) -> Part:
    """Say how sessions are kept and how long they live."""
    store = _store(given)
    session: dict[str, object] = {}
    name = given.text("cookie_name").removeprefix("__Host-").removeprefix("__Secure-")
    if name:
        session["cookie_name"] = name
    session["store"] = store.sections
    expire = given.seconds("cookie_expire")
    if expire:
        lifetime = min(max(expire, 60), _LONGEST)
        # There is no idle timeout in oauth2-proxy.
        session |= {"idle_timeout": duration_text(lifetime), "lifetime": duration_text(lifetime)}
    secrets = {"GATEWAY_SESSION__SECRET": "$(gateway keys new)", **store.secrets}
    if not given.text("jwt_key_file"):
        secrets["GATEWAY_PROVIDER__CLIENT_SECRET"] = "the client secret"
    return Part(sections={"session": session}, items=store.items, secrets=secrets)


def _store(given: Given) -> Part:
    if given.text("session_store_type") != "redis":
        text = "file: sessions are in var/sessions; several machines need redis"
        cookie = Item(option="session_store_type", outcome=Outcome.DIFFERS, text=text)
        return Part(sections={"type": "file"}, items=[cookie] if given.text("session_store_type") else [])
    url = _redis(given)
    if url is None:
        text = "session_store_type is redis, and no URL is there for it; sessions go into files"
        return Part(
            sections={"type": "file"}, items=[Item(option="session_store_type", outcome=Outcome.DIFFERS, text=text)]
        )
    has_secret = "@" in url or given.text("redis_password") or given.text("redis_sentinel_password")
    if not has_secret:
        return Part(sections={"type": "redis", "url": url})
    scheme, _, rest = url.partition("://")
    shown = f"{scheme}://{given.text('redis_username') or ''}:PASSWORD@{rest.rpartition('@')[2]}"
    if given.text("redis_sentinel_password"):
        shown += f"{'&' if '?' in shown else '?'}sentinel_password=PASSWORD"
    return Part(sections={"type": "redis"}, secrets={STORE_URL: shown})


def _redis(given: Given) -> str | None:
    single = given.text("redis_connection_url")
    if given.is_on("redis_use_sentinel"):
        urls, kind = given.listed("redis_sentinel_connection_urls"), "+sentinel"
    elif given.is_on("redis_use_cluster"):
        urls, kind = given.listed("redis_cluster_connection_urls"), "+cluster"
    else:
        urls, kind = (single,) if single else (), ""
    if not urls:
        return None
    first = urlsplit(urls[0])
    hosts = ",".join(urlsplit(url).netloc.rpartition("@")[2] for url in urls)
    user = first.netloc.rpartition("@")[0]
    path = f"/{given.text('redis_sentinel_master_name')}/0" if kind == "+sentinel" else first.path
    url = f"{first.scheme}{kind}://{f'{user}@' if user else ''}{hosts}{path}"
    return f"{url}?ssl_ca_certs={given.text('redis_ca_path')}" if given.text("redis_ca_path") else url


def proxies_part(given: Given, *, asks_only: bool) -> Part:
    """Say which proxies are believed, and whether they may ask for decisions."""
    asked = asks_only or given.is_on("set_xauthrequest") or given.is_on("set_authorization_header")
    named = list(given.listed("trusted_proxy_ips")) if given.is_on("reverse_proxy") else []
    items, sections = [], {}
    if asked and not named:
        text = "127.0.0.1 and ::1 may ask; put the addresses of your proxy there"
        option = "reverse_proxy" if "reverse_proxy" in given.values else "set_xauthrequest"
        items.append(Item(option=option, outcome=Outcome.DIFFERS, text=f"trusted_proxies: {text}"))
        named = list(_LOCAL)
    elif given.is_on("reverse_proxy") and not named:
        text = "trusted_proxies: 127.0.0.1 and ::1 are believed; oauth2-proxy would believe everybody"
        items.append(Item(option="reverse_proxy", outcome=Outcome.DIFFERS, text=text))
        named = list(_LOCAL)
    if named:
        sections["trusted_proxies"] = named
    if not asked:
        return Part(sections=dict(sections), items=items)
    forward: dict[str, object] = {"enabled": True}
    if given.is_on("pass_access_token"):
        forward["access_token"] = True
    return Part(sections={**sections, "forward_auth": forward}, items=items)


def connection_part(given: Given) -> Part:
    """Say how upstreams are connected to."""
    connection: dict[str, object] = {}
    if given.seconds("upstream_timeout"):
        connection["read_timeout"] = duration_text(given.seconds("upstream_timeout") or 1)
    if given.is_on("ssl_upstream_insecure_skip_verify"):
        connection["verify_tls"] = False
    return Part(sections={"upstream_connection": connection} if connection else {})
