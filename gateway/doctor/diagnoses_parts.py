"""What may be found of the configuration itself, of the store and of the upstreams."""

from __future__ import annotations

from gateway.doctor.finding import failed, ok, warning

# The configuration, read by itself.
CONFIGURATION_INVALID = failed(
    "configuration_invalid", "{problem}", "Correct that key; config.yaml shows what each may be."
)
CONFIGURATION_OK = ok("configuration_ok", "The configuration can be read, and its keys agree with each other.")
NOTHING_BEHIND = warning(
    "nothing_behind",
    "No upstream is named, and forward_auth is off.",
    "Name what is behind the gateway in upstream, unless it is wrapped around an app in code.",
)
IDLE_LONGER_THAN_LIFETIME = warning(
    "idle_longer_than_lifetime",
    "session.idle_timeout is {idle} s and session.lifetime {lifetime} s, so no session ever ends for want of use.",
    "Set session.idle_timeout below session.lifetime.",
)
LEEWAY_LONGER_THAN_LIFETIME = warning(
    "leeway_longer_than_lifetime",
    "session.refresh_leeway and refresh_jitter are {leeway} s together, and no session lives longer than {lifetime} s.",
    "Set session.refresh_leeway to a part of how long the provider's access tokens live: 60s.",
)
CACHE_LONGER_THAN_IDLE = warning(
    "cache_longer_than_idle",
    "session.local_cache is {cache} s and session.idle_timeout {idle} s: a worker's own copy is older than a session "
    "may be idle.",
    "Set session.local_cache to a few seconds.",
)
SECRET_PLACEHOLDER = failed(
    "secret_placeholder",
    "The value of {key} is a placeholder, or one that an example has.",
    "Set {key} to a secret of your own; `gateway keys new` makes one.",
)
CLIENT_SECRET_EXAMPLE = warning(
    "client_secret_example",
    "The value of {key} is one that an example has, or looks like a placeholder.",
    "Have the provider make a new secret, and set {key} to it.",
)
SECRET_MONOTONOUS = warning(
    "secret_monotonous",
    "The value of {key} has {count} different characters, so it can be guessed.",
    "Set {key} to what `gateway keys new` prints.",
)
SECRET_REUSED = warning(
    "secret_reused",
    "{key} and {other} have the same value, so whoever learns one knows both.",
    "Set {key} to a secret of its own; `gateway keys new` makes one.",
)
KEY_FILE_READABLE = warning(
    "key_file_readable",
    "{path}, which {key} names, can be read by every user of this machine (mode {mode}).",
    "Take that right away: chmod 600 {path}, or choose another file for {key}.",
)
VERIFICATION_OFF = warning(
    "verification_off",
    "{key} is false, so anyone on the way can pose as the other side.",
    "Set {key} to true, or to the path of a bundle with the authority that issued the certificate.",
)
PROXIES_ANYONE = warning(
    "proxies_anyone",
    "trusted_proxies has {network}, so every client can say where it comes from.",
    "Name in trusted_proxies the addresses of your own proxies alone.",
)
FORM_POST_WITHOUT_TLS = failed(
    "form_post_without_tls",
    "The provider answers by a form of its own site ({issuer}), and without TLS ({public_url}) browsers send no "
    "cookie along with that.",
    "Set public_url to an https address, or provider.authorization.response_mode to query.",
)
ISSUER_IS_PUBLIC_URL = failed(
    "issuer_is_public_url",
    "provider.issuer and public_url are both {origin}: the gateway would ask itself.",
    "Set provider.issuer to the provider's address, and public_url to the one that the gateway's users see.",
)

# The store.
STORE_OK = ok("store_ok", "The store writes, reads and deletes.")
STORE_MEMORY_SHARED = failed(
    "store_memory_shared",
    "session.store.type is memory, and {workers} workers serve: each would know its own sessions alone.",
    "Set session.store.type to file or redis, or run one worker (WEB_CONCURRENCY=1, or `gateway serve --workers 1`).",
)
STORE_MEMORY = warning(
    "store_memory",
    "session.store.type is memory, so a restart signs everybody out.",
    "Set session.store.type to file or redis.",
)
STORE_OTHER_OWNER = warning(
    "store_other_owner",
    "{path} belongs to the user with the number {owner}, and we run as {user}; what we wrote there, the other could "
    "not use, so nothing was tried.",
    "Run the doctor as the user that runs the gateway, or set session.store.path to a directory of that user.",
)
STORE_NOT_WRITABLE = failed(
    "store_not_writable",
    "{path} cannot be written: {detail}.",
    "Set session.store.path to a directory that the gateway's user may write, or let it write there.",
)
STORE_FULL = failed(
    "store_full",
    "There is no room left for sessions in {place}: {detail}.",
    "Make room, or set session.store.path or url to where there is some.",
)
STORE_UNREACHABLE = failed(
    "store_unreachable", "{place} cannot be reached: {detail}.", "Start the store, or correct session.store.url."
)
STORE_REFUSES_LOGIN = failed(
    "store_refuses_login",
    "{place} refuses user or password: {detail}.",
    "Correct user and password in session.store.url; GATEWAY_SESSION__STORE__URL keeps them out of the file.",
)
STORE_FORBIDS = failed(
    "store_forbids",
    "{place} does not let its user do what is needed: {detail}.",
    "Give the user of session.store.url the rights that docs/stores.md names.",
)
STORE_READ_ONLY = failed(
    "store_read_only",
    "{place} is a replica that only reads.",
    "Set session.store.url to the primary, or to the sentinels that know it (redis+sentinel://).",
)
STORE_EVICTS = warning(
    "store_evicts",
    "{place} evicts entries when it is full (maxmemory-policy {policy}), under which users who were signed out may "
    "come back.",
    "Set maxmemory-policy to noeviction at the server of session.store.url.",
)
STORE_OPTION_UNKNOWN = failed(
    "store_option_unknown", "{detail}.", "Correct the options behind the ? of session.store.url, or take them out."
)
STORE_PACKAGE_MISSING = failed(
    "store_package_missing", "{detail}.", "Install that package, or set session.store.type to another store."
)
STORE_FAILING = failed(
    "store_failing", "{place} does not work: {detail}.", "Look at the log of the store that session.store names."
)

# The upstreams.
UPSTREAM_OK = ok("upstream_ok", "It answers {status}.")
UPSTREAM_IS_GATEWAY = failed(
    "upstream_is_gateway",
    "{url} is the gateway itself: {evidence}.",
    "Set upstream, upstreams.NAME.url or routes[].upstream to what is behind the gateway.",
)
UPSTREAM_SPEAKS_TLS = failed(
    "upstream_speaks_tls",
    "{url} speaks TLS.",
    "Write https:// in upstream, upstreams.NAME.url or routes[].upstream.",
)
UPSTREAM_NOT_HTTP = failed(
    "upstream_not_http",
    "{url} does not answer in HTTP: {detail}.",
    "Correct upstream, upstreams.NAME.url or routes[].upstream.",
)
UPSTREAM_SILENT = failed(
    "upstream_no_answer",
    "{url} takes connections and does not answer within {seconds} s.",
    "Look at what is behind the gateway, or correct upstream, upstreams.NAME.url or routes[].upstream.",
)
UPSTREAM_FAILING = warning(
    "upstream_failing",
    "{url} answers {status}.",
    "Look at its own log; where something else is to be asked, name it in upstreams.NAME.health_path.",
)
UPSTREAM_REDIRECTS_TO_ITSELF = failed(
    "upstream_redirects_to_itself",
    "{url} redirects what came to {location} to that very address, without end.",
    "Have it believe X-Forwarded-Proto and Host, or set routes[].preserve_host for it.",
)
UPSTREAM_REDIRECTS_ELSEWHERE = warning(
    "upstream_redirects_elsewhere",
    "{url} redirects to another site, {location}.",
    "Set upstream to where the app really is, or routes[].preserve_host and rewrite_responses if it is misled.",
)
UPSTREAM_HAS_LOGIN = warning(
    "upstream_has_login",
    "{url} redirects to {location}, which looks like a login of its own.",
    "Have it take the user from X-Forwarded-User or from the token that routes[].token sends.",
)
