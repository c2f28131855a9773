"""What may be found of the way by which browsers come to the gateway."""

from __future__ import annotations

from gateway.doctor.finding import failed, ok, skipped, warning

OUTSIDE_OK = ok("outside_ok", "The gateway answers at {url}, with what a login needs.")
OUTSIDE_LEADS_ON = ok("outside_leads_on", "{url} redirects to the same path of public_url.")
OUTSIDE_SKIPPED = skipped("outside_skipped")
OUTSIDE_NO_ANSWER = failed(
    "outside_no_answer",
    "{url} does not answer: {detail}.",
    "Look at what stands before the gateway, or correct public_url.",
)
OUTSIDE_GATEWAY_DOWN = failed(
    "outside_gateway_down",
    "{url} answers {status}: what stands before the gateway does not reach it.",
    "Start the gateway, and have the proxy lead to where it listens (BIND, `gateway serve --bind`).",
)
OUTSIDE_HOST_REFUSED = failed(
    "outside_host_refused",
    "The gateway answers that it was sent no host name: something at {url} takes it away.",
    "Have the proxy pass on the host of public_url: proxy_set_header Host $http_host in nginx.",
)
OUTSIDE_NOT_GATEWAY = failed(
    "outside_not_gateway",
    "{url} answers {status}, and not as the gateway does.",
    "Have what answers there lead {path} to the gateway, or correct public_url.",
)
OUTSIDE_REDIRECTS = failed(
    "outside_redirects",
    "{url} redirects to {location}, which is not of public_url.",
    "Set public_url to the address that browsers end up at, or take that redirect away.",
)
OUTSIDE_REDIRECT_LOSES_PATH = failed(
    "outside_redirect_loses_path",
    "{url} redirects to {location}: the path is lost, and with it every address that users ask for.",
    "Have the redirect to public_url keep path and query: return 301 https://$host$request_uri in nginx.",
)
OUTSIDE_REDIRECT_LOOP = failed(
    "outside_redirect_loop",
    "{url} redirects to itself.",
    "Have what stands before the gateway ask it without that redirect, or correct the scheme of public_url.",
)
OUTSIDE_PREFIX_NOT_ROUTED = failed(
    "outside_prefix_not_routed",
    "{url} answers {status}, and not as the gateway does, though other paths are led to it.",
    "Have the proxy lead all below prefix to the gateway.",
)
OUTSIDE_PAST_GATEWAY = failed(
    "outside_past_gateway",
    "{url} answers {status}, and not as the gateway does, though what is below prefix is led to it: other requests "
    "go past it.",
    "Have the proxy lead everything to the gateway, or have it ask the gateway about each request (forward_auth).",
)
OUTSIDE_CALLBACK_NOT_ROUTED = failed(
    "outside_callback_not_routed",
    "{url} is the redirect URI and answers {status}, and not as the gateway does, though other paths are led to it.",
    "Have the proxy lead callback_path to the gateway, or unset callback_path.",
)
OUTSIDE_CACHED = failed(
    "outside_cached",
    "{url} was answered from a cache ({evidence}), though the gateway says no-store.",
    "Have the proxy cache nothing below prefix.",
)
OUTSIDE_OTHER_ORIGIN = warning(
    "outside_other_origin",
    "{url} is not public_url, {public_url}: a cookie that is set there is missing where logins end.",
    "Redirect users from there to public_url, or set public_url to it.",
)
OUTSIDE_LOGIN_FAILS = failed(
    "outside_login_fails",
    "{url} answers {status} {error} instead of sending the browser to the provider.",
    "Look at the log of the gateway that runs; if the configuration was changed since, start it anew.",
)
OUTSIDE_OTHER_CONFIGURATION = failed(
    "outside_other_configuration",
    "The gateway that runs sends browsers to the provider with {running}, and the configuration says {configured}.",
    "Start the gateway anew with this configuration, or correct public_url, callback_path and provider.client_id.",
)
OUTSIDE_COOKIE_DROPPED = failed(
    "outside_cookie_dropped",
    "{url} begins a login without the cookie that belongs to it: something drops Set-Cookie.",
    "Have the proxy pass on every Set-Cookie of the gateway.",
)
OUTSIDE_COOKIE_CHANGED = failed(
    "outside_cookie_changed",
    "The cookie of a login arrives changed ({change}), so that browsers do not keep it or do not send it back.",
    "Have the proxy leave Set-Cookie alone: no proxy_cookie_path, _domain or _flags in nginx.",
)
PROXY_NOT_NAMED = warning(
    "proxy_not_named",
    "A proxy stands before the gateway ({evidence}), and trusted_proxies is empty: all clients have its address.",
    "Name the proxy's address in trusted_proxies, or count the proxies in trusted_hops.",
)
