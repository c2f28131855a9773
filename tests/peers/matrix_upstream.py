"""Upstreams that check what a bound token needs: a DPoP proof, or the certificate of the connection."""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from .listener import Answer, Received
from .matrix_tls import TLSMaterial
from .servers import LOOPBACK

STOP_SECONDS: Final = 5.0
PEER_CERTIFICATE: Final = "matrix.peer_certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A DPoP proof whose signature is right, and the token that it came with."""

    token: str
    thumbprint: str
    header: dict[str, Any]
    claims: dict[str, Any]

    def is_for(self, method: str, url: str) -> bool:
        """Tell whether it is for this request and this token (RFC 9449 4.3)."""
        digest = hashlib.sha256(self.token.encode("ascii")).digest()
        expected = {"htm": method, "htu": url, "ath": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")}
        return {name: self.claims.get(name) for name in expected} == expected and self.header["typ"] == "dpop+jwt"


def read_proof(received: Received) -> Proof:
    """Take the token and its proof out of a request, and check the signature with the key in the header."""
    scheme, _, token = received.headers["authorization"].partition(" ")
    assert scheme == "DPoP"
    text = received.headers["dpop"]
    header = json.loads(base64.urlsafe_b64decode(text.partition(".")[0] + "=="))
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}
    key = ECKey.import_key(header["jwk"])
    claims = dict(jwt.decode(text, key, algorithms=["ES256"]).claims)
    return Proof(token=token, thumbprint=key.thumbprint(), header=header, claims=claims)


def nonce_demanding(nonce: str) -> Callable[[Received], Answer]:
    """Answer as a resource server that wants this nonce in every proof (RFC 9449 9)."""

    def answer(received: Received) -> Answer:
        if read_proof(received).claims.get("nonce") == nonce:
            return Answer(body="hello")
        challenge = 'DPoP error="use_dpop_nonce", algs="ES256"'
        return Answer(status=401, headers={"WWW-Authenticate": challenge, "DPoP-Nonce": nonce}, body="")

    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What reached an upstream over TLS: the field `Authorization`, and the thumbprint of the certificate."""

    authorization: str
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSUpstream:
    """An upstream that lets nobody connect without a certificate of its authority; `shown` grows, oldest first."""

    url: str
    shown: list[Shown]


@contextmanager
def run_tls_upstream(tls: TLSMaterial) -> Iterator[TLSUpstream]:
    """Run one on loopback until the end of the block."""
    shown: list[Shown] = []

    @Request.application
    def app(request: Request) -> Response:
        digest = hashlib.sha256(request.environ[PEER_CERTIFICATE]).digest()
        certificate = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
        shown.append(Shown(authorization=request.headers.get("Authorization", ""), certificate=certificate))
        return Response("hello")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.server.certificate, tls.server.key)
    context.load_verify_locations(tls.authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    server = make_server(LOOPBACK, 0, app, request_handler=_Handler, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield TLSUpstream(url=f"https://{LOOPBACK}:{server.server_port}", shown=shown)
    finally:
        server.shutdown()
        thread.join(STOP_SECONDS)
        server.server_close()


class _Handler(WSGIRequestHandler):
    timeout = STOP_SECONDS  # The gateway keeps its connection; a server with one thread would wait for it.

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), PEER_CERTIFICATE: self.connection.getpeercert(binary_form=True)}

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Keep the test's output quiet."""
