"""A request to one of our own endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.errors import PARAMETER_REFUSED, GatewayError
from gateway.oidc.messages import single_parameters
from gateway.request_context import Environ
from gateway.target import RequestTarget

_FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 4 * 1024
MAX_ANSWER_BYTES = 128 * 1024
"""What a provider's form may weigh: a signed and encrypted answer with an ID token in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The target that was read once, and the environ for what endpoints need beyond it."""

    target: RequestTarget
    environ: Environ = field(repr=False)

    @property
    def cookies(self) -> str:
        """The `Cookie` field as it came."""
        return str(self.environ.get("HTTP_COOKIE", ""))

    @property
    def accept_language(self) -> str:
        """The `Accept-Language` field as it came."""
        return str(self.environ.get("HTTP_ACCEPT_LANGUAGE", ""))

    def query(self) -> dict[str, str]:
        """Read the query, each parameter at most once; raises `parameter_refused`."""
        return _parameters(self.target.query.encode("ascii"))

    def answer(self) -> dict[str, str]:
        """Read an authorization response, from the query of a GET, from the body alone of a POST.

        Raises `response_parameter_repeated` (RFC 6749 3.1) and, for a body that is no form, `parameter_refused`.
        """
        if self.target.method == "POST":
            return single_parameters(self._form_body(MAX_ANSWER_BYTES))
        return single_parameters(self.target.query.encode("ascii"))

    def form(self, max_bytes: int = MAX_FORM_BYTES) -> dict[str, str]:
        """Read a form body of at most that size; raises `parameter_refused`."""
        return _parameters(self._form_body(max_bytes))

    def _form_body(self, max_bytes: int) -> bytes:
        media_type = str(self.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
        if self.environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in self.environ:
            return self._chunked_body(media_type, max_bytes)
        length = str(self.environ.get("CONTENT_LENGTH") or "0")
        if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > max_bytes:
            raise GatewayError(PARAMETER_REFUSED, "the form is too large")
        if int(length) == 0:
            return b""
        if media_type != _FORM:
            raise GatewayError(PARAMETER_REFUSED, f"media type {media_type[:80]!r} is not a form's")
        body = self.environ["wsgi.input"].read(int(length))
        return body if isinstance(body, bytes) else b""

    def _chunked_body(self, media_type: str, max_bytes: int) -> bytes:
        # The server ends the input by itself (RFC 9112 7.1).
        body = self.environ["wsgi.input"].read(max_bytes + 1)
        if not isinstance(body, bytes) or len(body) > max_bytes:
            raise GatewayError(PARAMETER_REFUSED, "the form is too large")
        if body and media_type != _FORM:
            raise GatewayError(PARAMETER_REFUSED, f"media type {media_type[:80]!r} is not a form's")
        return body


def _parameters(encoded: bytes) -> dict[str, str]:
    try:
        return single_parameters(encoded)
    except GatewayError as error:
        raise GatewayError(PARAMETER_REFUSED, error.detail) from error
