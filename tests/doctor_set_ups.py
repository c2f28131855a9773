"""Set-ups that the doctor examines: a configuration, a provider over real sockets, an upstream, all of them well."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from harness import merged
from peers.listener import run_listener
from peers.matrix_tls import CertificateFiles
from peers.servers import LOOPBACK, free_port
from processes.running import run_threads

from gateway.assembly import Outside
from gateway.config import load_document, settings_of
from gateway.doctor.examination import examine
from gateway.doctor.facts import Patient, gather
from gateway.doctor.finding import Finding, Severity
from gateway.testing import FakeClient, FakeProvider

CLIENT_ID: Final = "gateway"
CLIENT_SECRET: Final = "CANARY-client-Vq7Jm2Xc9Lk4Wd8Rt5"
RING_SECRET: Final = "CANARY-ring-Hn6Bz3Ys8Pf1Gv7Kx2Mw9"
SCOPE: Final = "openid profile email offline_access"

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """What is examined; `config` may be changed, and so may the provider."""

    directory: Path
    config: Config
    provider: FakeProvider
    url: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    outside: Outside = field(default_factory=Outside)

    def changed(self, over: Mapping[str, object]) -> "SetUp":
        """Lay keys over the configuration."""
        return replace(self, config=merged(self.config, over))

    @property
    def issuer(self) -> str:
        """Where the provider is."""
        return self.provider.issuer


def diagnosed(set_up: SetUp) -> list[Finding]:
    """Have the doctor examine a set-up."""
    path = set_up.directory / "config.yaml"
    path.write_text(json.dumps(set_up.config))  # JSON is YAML.
    document = load_document(str(path), set_up.environ)
    patient = Patient(document=document, settings=settings_of(document), url=set_up.url, environ=set_up.environ)
    return examine(gather(patient, set_up.outside, lambda _: None))


def in_directory(set_up: SetUp, directory: Path) -> SetUp:
    """Have a set-up that runs keep its sessions, and be examined, in a directory of its own."""
    store = {"type": "file", "path": str(directory / "sessions")}
    return replace(set_up, directory=directory).changed({"session": {"store": store}})


def codes(findings: Sequence[Finding]) -> list[str]:
    """Name what is not well."""
    return [one.code for one in findings if one.severity in (Severity.FAILED, Severity.WARNING)]


def found(set_up: SetUp) -> list[str]:
    """Tell what is wrong with a set-up whose gateway does not run."""
    return [code for code in codes(diagnosed(set_up)) if code != "outside_refused"]


@contextmanager
def run_set_up(
    directory: Path,
    *,
    redirect_uris: Callable[[str], list[str]] = lambda url: [f"{url}/oauth2/callback"],
    certificate: CertificateFiles | None = None,
    host: str = LOOPBACK,
) -> Iterator[SetUp]:
    """Run a provider and an upstream, and give a configuration that fits them."""
    port, public_url = free_port(), f"http://localhost:{free_port()}"
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uris=redirect_uris(public_url),
        post_logout_redirect_uris=[f"{public_url}/oauth2/signed_out"],
    )
    scheme = "http" if certificate is None else "https"
    provider = FakeProvider(issuer=f"{scheme}://{host}:{port}", clients=[client])
    with ExitStack() as running:
        running.enter_context(run_threads(port, provider, tls=context))
        upstream = running.enter_context(run_listener())
        config: Config = {
            "public_url": public_url,
            "upstream": upstream.origin,
            "provider": {
                "issuer": provider.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scope": SCOPE,
            },
            "session": {"secret": RING_SECRET, "store": {"type": "file", "path": str(directory / "sessions")}},
        }
        yield SetUp(directory=directory, config=config, provider=provider)


@contextmanager
def raw_server(script: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that does as the script says with each connection."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    if not stopping.is_set():
                        connection.settimeout(5)
                        script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        stopping.set()
        with socket.create_connection(listener.getsockname()):
            thread.join(10)
