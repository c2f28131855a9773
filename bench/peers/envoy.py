"""Envoy with its oauth2 filter, which keeps the tokens in cookies and sends the access token on."""

from __future__ import annotations

import json
import subprocess
from typing import Final

from bench.peers.peer import CLIENT_ID, CLIENT_SECRET, PROGRAMS, SECRET, Peer, Place
from bench.processes import LOOPBACK, Command

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions"


def _launch(place: Place) -> Command:
    (place.directory / "envoy.json").write_text(json.dumps(_configuration(place)), encoding="utf-8")
    argv = ["-c", "envoy.json", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    return Command(argv=[str(PROGRAMS / "envoy"), *argv])


def _configuration(place: Place) -> dict[str, object]:
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}
            ]
        },
        "http_filters": [
            {"name": "oauth2", "typed_config": _oauth2(place)},
            {"name": "router", "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"}},
        ],
    }
    return {
        "static_resources": {
            "secrets": [_secret("token", CLIENT_SECRET), _secret("hmac", SECRET)],
            "listeners": [
                {
                    "name": "bench",
                    "address": _address(LOOPBACK, place.port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [_cluster("app", place.backend), _cluster("provider", place.issuer.removeprefix("http://"))],
        }
    }


def _oauth2(place: Place) -> dict[str, object]:
    config = {
        "authorization_endpoint": f"{place.issuer}/oauth2/authorize",
        "token_endpoint": {"uri": f"{place.issuer}/oauth2/token", "cluster": "provider", "timeout": "10s"},
        "redirect_uri": f"{place.origin}/callback",
        "redirect_path_matcher": {"path": {"exact": "/callback"}},
        "signout_path": {"path": {"exact": "/signout"}},
        "credentials": {
            "client_id": CLIENT_ID,
            "token_secret": {"name": "token"},
            "hmac_secret": {"name": "hmac"},
        },
        "auth_scopes": ["openid", "profile", "email"],
        "forward_bearer_token": True,
        "use_refresh_token": True,
    }
    return {"@type": f"{_EXTENSIONS}.filters.http.oauth2.v3.OAuth2", "config": config}


def _secret(name: str, value: str) -> dict[str, object]:
    return {"name": name, "generic_secret": {"secret": {"inline_string": value}}}


def _cluster(name: str, address: str) -> dict[str, object]:
    host, _, port = address.partition(":")
    endpoint = {"endpoint": {"address": _address(host, int(port))}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _version() -> str:
    seen = subprocess.run([PROGRAMS / "envoy", "--version"], capture_output=True, text=True, check=True)
    return seen.stdout.rpartition("version: ")[2].split("/")[1]


ENVOY: Final = Peer(name="envoy", title="Envoy, oauth2 filter", launch=_launch, version=_version)
