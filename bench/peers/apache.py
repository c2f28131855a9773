"""Apache with mod_auth_openidc and its proxy, in one process of many threads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.peers.peer import CLIENT_ID, CLIENT_SECRET, SECRET, Peer, Place
from bench.processes import LOOPBACK, Command, found

_MODULES: Final = Path("/usr/lib/apache2/modules")
_LOADED: Final = (
    "mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc",
)  # fmt: skip
_THREADS: Final = 320
"""A request holds one. With some to spare, no connection waits for another, nor is one closed to make room."""

_CONFIGURATION: Final = """
ServerRoot {directory}
ServerName {listen}
Listen {listen}
PidFile apache.pid
ErrorLog /dev/stderr
LogLevel warn
{modules}
{user}
ServerLimit 1
StartServers 1
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
AsyncRequestWorkerFactor 4
ListenBacklog 1024
KeepAlive On
MaxKeepAliveRequests 0

OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret "{client_secret}"
OIDCRedirectURI {origin}/callback
OIDCCryptoPassphrase "{secret}"
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCSessionInactivityTimeout 3600
{cache}

<Location />
    AuthType openid-connect
    Require valid-user
    RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e"
</Location>
ProxyRequests Off
ProxyPass / http://{backend}/ max={threads} disablereuse=Off
"""


def _launcher(cache: Callable[[Place], str]) -> Callable[[Place], Command]:
    def launch(place: Place) -> Command:
        text = _CONFIGURATION.format(
            directory=place.directory,
            listen=f"{LOOPBACK}:{place.port}",
            modules="\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED),
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            threads=_THREADS,
            issuer=place.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            origin=place.origin,
            secret=SECRET,
            cache=cache(place),
            backend=place.backend,
        )
        path = place.directory / "apache.conf"
        path.write_text(text, encoding="utf-8")
        return Command(argv=[found("apache2"), "-f", str(path), "-DFOREGROUND"])

    return launch


def _in_memory(_: Place) -> str:
    return "OIDCCacheType shm"


def _on_redis(place: Place) -> str:
    return f"OIDCCacheType redis\nOIDCRedisCacheServer {LOOPBACK}:{place.redis}"


def _version() -> str:
    seen = subprocess.run([found("apache2"), "-v"], capture_output=True, text=True, check=True)
    package = "libapache2-mod-auth-openidc"
    asked = ["dpkg-query", "-W", "-f", "${Version}", package]
    module = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return f"{seen.stdout.partition('/')[2].split()[0]}, mod_auth_openidc {module or 'unknown'}"


APACHE: Final = Peer(name="apache", title="Apache, mod_auth_openidc", launch=_launcher(_in_memory), version=_version)
APACHE_REDIS: Final = replace(
    APACHE,
    name="apache-redis",
    title="Apache, mod_auth_openidc on Redis",
    launch=_launcher(_on_redis),
    cases=frozenset({"miss"}),
)
