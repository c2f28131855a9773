"""The nginx behind all servers: files of three sizes, an answer to a POST, and an echo of the token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bench.processes import LOOPBACK, Command, found

SMALL: Final = 1024
MEDIUM: Final = 64 * 1024
LARGE: Final = 100 * 1024 * 1024

NGINX_GLOBALS: Final = "worker_processes 1; worker_rlimit_nofile 8192; pid nginx.pid; error_log stderr warn;"
NGINX_HTTP: Final = """
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_time 1h;
"""

# A `return` would answer before the body is there. Mirroring reads it first; the file then refuses the method, and what
# it refuses is answered by the same file.
_CONFIGURATION: Final = """
events { worker_connections 4096; }
http {
%(http)s
    sendfile on;
    tcp_nopush off;  # It corks: answers then waited 40 ms now and then for an acknowledgement.
    open_file_cache max=16;
    server {
        listen %(address)s backlog=1024;
        root files;
        client_max_body_size 1g;
        client_body_buffer_size 64k;
        location / {}
        location = /post {
            mirror /read;
            error_page 405 =200 /small;
            try_files /small =404;
        }
        location = /read { internal; return 204; }
        location = /token { return 200 $http_authorization; }
    }
}
"""


def launch(directory: Path, port: int) -> Command:
    """Write the files and the configuration."""
    files = directory / "files"
    files.mkdir()
    for name, size in (("small", SMALL), ("medium", MEDIUM), ("large", LARGE)):
        with (files / name).open("wb") as file:
            file.write(os.urandom(min(size, MEDIUM)) * (size // min(size, MEDIUM)))
    text = _CONFIGURATION % {"http": NGINX_HTTP, "address": f"{LOOPBACK}:{port}"}
    return nginx(directory, text)


def nginx(directory: Path, text: str) -> Command:
    """Write a configuration for nginx, one worker in the foreground, and return how it is started."""
    user = "user root;" if os.geteuid() == 0 else ""  # Workers of root would become nobody, who may not read here.
    (directory / "nginx.conf").write_text(f"daemon off; {user} {NGINX_GLOBALS}\n{text}", encoding="utf-8")
    return Command(argv=[found("nginx"), "-p", f"{directory}/", "-c", "nginx.conf", "-e", "stderr"])
