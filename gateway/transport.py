"""The real `Transport`: calls over requests, bounded in time and size, with nothing taken from the environment."""

from __future__ import annotations

import logging
import time
from http.cookiejar import DefaultCookiePolicy

import requests
from urllib3.exceptions import HTTPError

from gateway.errors import PROVIDER_ANSWER_INVALID, PROVIDER_UNREACHABLE, ConnectionLost, ProviderUnavailable
from gateway.oidc.messages import MAX_REPLY_BYTES, RETRY_AFTER_SECONDS, Call, Reply
from gateway.transport_deadline import DeadlineAdapter

_CHUNK_BYTES = 64 * 1024
_MAX_IDLE = 32  # As many as a worker has threads; what is over is closed after each call, with a warning.
_log = logging.getLogger("gateway.transport")


class RequestsTransport:
    """Sends calls over a pool of connections; no redirects, no cookies, no proxies or netrc of the environment.

    `verify` is whether certificates are checked, or the path of a CA bundle; `timeout` bounds a call, in seconds.
    `certificate` names the files of our certificate and its key, which are presented to those calls alone that say so.
    """

    def __init__(self, *, verify: bool | str, timeout: float, certificate: tuple[str, str] | None = None) -> None:
        self._timeout = timeout
        self._session = _session(verify=verify)
        self._mutual = self._session if certificate is None else _session(verify=verify, certificate=certificate)
        if verify is False:
            _log.warning("provider.verify_tls is false: anyone on the way can pose as the provider")

    def __call__(self, call: Call) -> Reply:
        """Send a call; a GET is tried a second time when its connection fails. Raises `ProviderUnavailable`."""
        deadline = time.monotonic() + self._timeout
        try:
            return self._send(call, deadline)
        except requests.ConnectionError as error:
            if call.method != "GET" or isinstance(error, requests.exceptions.SSLError | requests.ConnectTimeout):
                raise _unreachable(call, error) from error
            if "DPoP" in call.headers:  # A proof is good once; whoever made it may make another.
                raise ConnectionLost(PROVIDER_UNREACHABLE, str(_unreachable(call, error))) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _unreachable(call, error) from error
        try:
            return self._send(call, deadline)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise _unreachable(call, error) from error

    def _send(self, call: Call, deadline: float) -> Reply:
        session = self._mutual if call.mutual_tls else self._session
        with session.request(
            call.method,
            call.url,
            headers=dict(call.headers),
            data=call.body or None,
            timeout=max(0.1, deadline - time.monotonic()),
            allow_redirects=False,
            stream=True,
        ) as response:
            body = _read(response, deadline, call)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(status=response.status_code, headers=headers, body=body)


def _session(*, verify: bool | str, certificate: tuple[str, str] | None = None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = verify
    session.cert = certificate
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["User-Agent"] = "gateway"
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter(pool_maxsize=_MAX_IDLE))
    return session


def _read(response: requests.Response, deadline: float, call: Call) -> bytes:
    chunks: list[bytes] = []
    size = 0
    # urllib3 bounds each piece after decompression, so that a small answer cannot unfold into a large one unseen;
    # `read1` returns with what has come, so that an answer of single bytes cannot outlast the deadline.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise ProviderUnavailable(
                PROVIDER_ANSWER_INVALID, f"{_place(call)} answered more than {MAX_REPLY_BYTES} bytes"
            )
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("the answer took too long")
        chunks.append(chunk)
    return b"".join(chunks)


def _unreachable(call: Call, error: Exception) -> ProviderUnavailable:
    # The kind of error alone: its text may quote the URL with its query.
    detail = f"{call.method} {_place(call)}: {type(error).__name__}"
    return ProviderUnavailable(PROVIDER_UNREACHABLE, detail, retry_after=RETRY_AFTER_SECONDS)


def _place(call: Call) -> str:
    return call.url.partition("?")[0]
