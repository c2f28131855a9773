"""What of a message may be shown: a parameter by its name, a text without all that is, or looks like, a secret."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

MAX_SHOWN = 300
"""How many characters of a value are shown."""

MIN_SECRET = 6
"""What is shorter is not looked for in a text: it would be found in words that say something else."""

_CUT = "…"
_HIDDEN = "⟨{}⟩"

SHOWN = frozenset(
    {
        "response_type", "response_mode", "client_id", "redirect_uri", "scope", "prompt", "max_age", "ui_locales",
        "acr_values", "login_hint", "claims", "resource", "authorization_details", "code_challenge",
        "code_challenge_method", "dpop_jkt", "display", "grant_type", "token_type", "token_type_hint", "expires_in",
        "refresh_expires_in", "refresh_token_expires_in", "issued_token_type", "client_assertion_type", "error",
        "error_description", "error_uri", "iss", "aud", "exp", "iat", "nbf", "auth_time", "acr", "amr", "azp", "active",
        "alg", "enc", "typ", "kid", "cty", "sub",
    }
)  # fmt: skip
"""The names of parameters and members whose values are no secrets; of all others, length and digest alone are shown."""

_GUESSABLE = frozenset({"client_secret", "password"})
"""What people choose: a digest of it could be guessed from."""

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}")


def cut(text: str, length: int = MAX_SHOWN) -> str:
    """Shorten a text, and show that it was."""
    return text if len(text) <= length else text[: length - 1] + _CUT


def described(name: str, value: str) -> str:
    """Describe a value that is not shown, so that one can tell whether it is the same as another."""
    size = "empty" if not value else f"{len(value)} characters"
    if name in _GUESSABLE or not value:
        return _HIDDEN.format(size)
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return _HIDDEN.format(f"{size}, #{digest}")


def as_text(value: object) -> str:
    """Write a member of JSON as a text; half a surrogate pair becomes a question mark."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode("utf-8")


class Redaction:
    """Hides secrets: those that it is told of, and whatever looks like a JWT, wherever they stand in a text.

    `secrets` are values with the words that are shown in their places.
    """

    def __init__(self, secrets: Iterable[tuple[str, str]] = ()) -> None:
        self._words: dict[str, str] = {}
        for value, word in secrets:
            self.hide(value, word)

    def hide(self, value: str, word: str) -> None:
        """Hide a value from now on, also where it is written as JSON or in an address."""
        if len(value) >= MIN_SECRET:
            forms = (value, quote(value, safe=""), json.dumps(value)[1:-1])
            self._words.update((form, _HIDDEN.format(word)) for form in forms)

    def text(self, text: str, length: int = MAX_SHOWN, *, is_whole: bool = True) -> str:
        """Return a text without secrets, and cut.

        The end of a text that is not whole may be the beginning of a secret, and is left out.
        """
        clean = text.encode("utf-8", "replace").decode("utf-8")
        for value in sorted(self._words, key=len, reverse=True):
            clean = clean.replace(value, self._words[value])
        clean = _TOKEN.sub(lambda found: _HIDDEN.format(f"a JWT of {len(found[0])} characters"), clean)
        longest = max(map(len, self._words), default=0)
        return cut(clean if is_whole else clean[: max(0, len(clean) - longest)], length)

    def value(self, name: str, value: object) -> str:
        """Return what is shown of a parameter or a member."""
        text = as_text(value)
        if name in SHOWN or isinstance(value, bool | int | float) or value is None:
            return self.text(text)
        return described(name, text) if isinstance(value, str) else _HIDDEN.format(_kind(value))

    def learn(self, members: Mapping[str, object]) -> None:
        """Hide the values of members that are not shown, wherever else they stand."""
        for name, value in members.items():
            if isinstance(value, str) and name not in SHOWN:
                self.hide(value, name)


def _kind(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object of {len(value)}" if isinstance(value, dict) else "a value"
