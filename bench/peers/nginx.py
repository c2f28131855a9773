"""nginx that adds a fixed token to every request: what a proxy costs that decides nothing."""

from __future__ import annotations

import subprocess
from typing import Final

from bench.peers.backend import NGINX_HTTP, nginx
from bench.peers.peer import Peer, Place
from bench.processes import LOOPBACK, Command, found

_TOKEN: Final = "Bearer fixed"
_CONFIGURATION: Final = """
events { worker_connections 4096; }
http {
%(http)s
    upstream backend { server %(backend)s; keepalive 512; keepalive_requests 1000000000; keepalive_time 1h; }
    server {
        listen %(address)s backlog=1024;
        client_max_body_size 1g;
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header Authorization "%(token)s";
        }
    }
}
"""


def _launch(place: Place) -> Command:
    values = {"backend": place.backend, "address": f"{LOOPBACK}:{place.port}", "token": _TOKEN, "http": NGINX_HTTP}
    return nginx(place.directory, _CONFIGURATION % values)


def version() -> str:
    """Return the version of nginx, which is the backend too."""
    seen = subprocess.run([found("nginx"), "-v"], capture_output=True, text=True, check=True)
    return seen.stderr.strip().rpartition("/")[2]


NGINX: Final = Peer(
    name="nginx",
    title="nginx, fixed token",
    launch=_launch,
    version=version,
    signs_in=False,
    token=_TOKEN,
)
