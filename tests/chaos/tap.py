"""Stands before the provider: breaks it where it is told to, and notes every secret that passes by."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from canaries import FIELDS, PARAMETERS, TOKENS, Canaries
from werkzeug.wrappers import Request, Response

STALL: Final = "stalls"
ANSWERS: Final[Mapping[str, tuple[int, str, str]]] = {
    "answers 500": (500, "text/html", "<h1>Internal Server Error</h1>"),
    "answers 503": (503, "text/plain", "come again"),
    "answers a page": (200, "text/html", "<h1>Maintenance</h1>"),
    "answers half a JSON": (200, "application/json", '{"access_token": "'),
    "answers an empty JSON": (200, "application/json", "{}"),
}
"""What it may say instead, and how that is told; nothing of it is about anybody's grant."""

_STALLED_AT_MOST: Final = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """An access token: the code of the login that it goes back to, and when it ends, by `time.monotonic`."""

    code: str = field(repr=False)
    ends_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A refresh token that was worth nothing; `used_at` is when it had been used before; both by `time.monotonic`."""

    code: str = field(repr=False)
    at: float
    used_at: float | None


class Tap:
    """A provider and what is between it and its clients."""

    def __init__(self, provider: WSGIApplication, canaries: Canaries) -> None:
        self._provider = provider
        self._canaries = canaries
        self._guard = threading.Lock()
        self._mode = ""
        self._goes_on = threading.Event()
        self._code_of: dict[str, str] = {}
        self._used_at: dict[str, float] = {}
        self._issued: dict[str, Issued] = {}
        self.refused: list[Refused] = []
        self.calls: Counter[str] = Counter()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = Request({**environ, "wsgi.input": BytesIO(body)})
        form = request.form
        self._note_all(PARAMETERS, request.args)
        self._note_all(FIELDS, form)
        mode = self._mode
        if mode == STALL:
            self._goes_on.wait(_STALLED_AT_MOST)
            raise ConnectionAbortedError  # The server hangs up without an answer.
        if mode:
            status, media_type, text = ANSWERS[mode]
            return Response(text, status=status, mimetype=media_type)(environ, start_response)
        response = Response.from_app(self._provider, {**environ, "wsgi.input": BytesIO(body)})
        self._note_answer(form, response)
        return response(environ, start_response)

    def begin(self, mode: str) -> None:
        """Break the provider."""
        self._goes_on.clear()
        self._mode = mode

    def end(self) -> None:
        """Mend it."""
        self._mode = ""
        self._goes_on.set()

    def issued(self, access_token: str) -> Issued | None:
        """Tell what is known of an access token; None for one that was never issued."""
        with self._guard:
            return self._issued.get(access_token)

    def has_refused(self, code: str) -> bool:
        """Tell whether the login of a code has come to its end because its refresh token was worth nothing."""
        return any(one.code == code for one in list(self.refused))

    def _note_answer(self, form: Mapping[str, str], response: Response) -> None:
        location = urlsplit(response.headers.get("Location", ""))
        self._note_all(PARAMETERS, {name: values[0] for name, values in parse_qs(location.query).items()})
        kind = form.get("grant_type")
        members: dict[str, Any] = (response.get_json(silent=True) or {}) if kind else {}
        self._note_all(TOKENS, members)
        with self._guard:
            self.calls[f"{kind} {response.status_code}"] += bool(kind)
            if kind == "authorization_code" and response.status_code == 200:
                self._note_tokens(form["code"], members)
            elif kind == "refresh_token":
                self._note_refresh(form["refresh_token"], response.status_code, members)

    def _note_refresh(self, used: str, status: int, members: Mapping[str, Any]) -> None:
        code = self._code_of.get(used, "")
        if status != 200:
            self.refused.append(Refused(code=code, at=time.monotonic(), used_at=self._used_at.get(used)))
            return
        self._used_at[used] = time.monotonic()
        self._note_tokens(code, members)

    def _note_tokens(self, code: str, members: Mapping[str, Any]) -> None:
        self._code_of[members["refresh_token"]] = code
        ends_at = time.monotonic() + members["expires_in"]
        self._issued[members["access_token"]] = Issued(code=code, ends_at=ends_at)

    def _note_all(self, kinds: Mapping[str, str], members: Mapping[str, Any]) -> None:
        with self._guard:
            self._canaries.add_all(kinds, members)
