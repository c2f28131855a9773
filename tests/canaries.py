"""Looks for secrets in what was put out: as they are, cut short, escaped, percent-encoded, in base64 and in hex."""

import base64
import binascii
import html
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

PIECE: Final = 12
"""Octets; a secret is found by any part of it that is about twice as long, wherever the part begins."""

WHOLLY: Final = 10
"""So many pieces of a secret's beginning are looked for, and of what follows in a long one each fourth."""

MIN_SECRET: Final = 8
"""Octets; what is shorter is found by chance."""

PARAMETERS: Final = {"state": "state", "nonce": "nonce", "code": "code", "id_token_hint": "ID token"}
"""What is secret in an address, and what it is."""

FIELDS: Final = {"code": "code", "code_verifier": "PKCE verifier", "refresh_token": "refresh token", "token": "token"}
"""What is secret in a call to the provider."""

TOKENS: Final = {"access_token": "access token", "refresh_token": "refresh token", "id_token": "ID token"}
"""What is secret in its answer."""

_ESCAPED: Final = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([\\\"'/nrt]))")
_SHORT: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2,4}")
_FOUND_AT_MOST: Final = 20


class Canaries:
    """The secrets of a run, by what they are."""

    def __init__(self) -> None:
        self._pieces: dict[int, dict[bytes, str]] = {}
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, kind: str, secret: str) -> None:
        """Add a secret; what is empty or too short to be told from anything else is none.

        Of a JWT each part but its header is a secret of its own; so are the octets that a text in base64 stands for.
        """
        if len(secret) < MIN_SECRET or secret in self._known:
            return
        self._known.add(secret)
        if _JWT.fullmatch(secret):
            for part in secret.split(".")[1:]:
                self._add(kind, part.encode("ascii"))
            return
        self._add(kind, secret.encode("utf-8"))
        octets = _decoded(secret)
        if octets is not None and not octets.isascii():
            self._add(kind, octets)

    def add_all(self, kinds: Mapping[str, str], members: Mapping[str, object]) -> None:
        """Add those members that are secret, by what each of them is."""
        for name, kind in kinds.items():
            self.add(kind, str(members.get(name, "")))

    def find(self, place: str, output: bytes, *, text: bool = True) -> list[str]:
        """Tell which kinds of secrets are in an output, and around what; the secrets themselves are left out.

        In what is no `text` nothing is escaped, and the search of it is five times as quick.
        """
        found: dict[str, None] = {}
        for view in _views(output) if text else [output]:
            for size, pieces in self._pieces.items():
                for at in _occurrences(view, size, pieces):
                    kind = pieces[view[at : at + size]]
                    found[f"{place}: {kind} at octet {at}, after {_before(view, at)!r}"] = None
                    if len(found) >= _FOUND_AT_MOST:
                        return list(found)
        return list(found)

    def _add(self, kind: str, secret: bytes) -> None:
        if len(secret) < MIN_SECRET:
            return
        for written in (secret, secret.hex().encode("ascii"), *_in_base64(secret)):
            size = PIECE if len(written) >= PIECE else MIN_SECRET
            for number in range(len(written) // size):
                if number < WHOLLY or number % 4 == 0:
                    piece = written[number * size : (number + 1) * size]
                    self._pieces.setdefault(size, {}).setdefault(piece, kind)


def _occurrences(view: bytes, size: int, pieces: Mapping[bytes, str]) -> Iterator[int]:
    """Give where secrets begin to be seen: of pieces that follow upon each other the first alone."""
    last = -4 * size
    for at in range(len(view) - size + 1):
        if view[at : at + size] in pieces:
            if at - last > 3 * size:
                yield at
            last = at


def _before(view: bytes, at: int) -> str:
    """Tell what stands before a piece, at a distance at which no other part of the same secret does."""
    return view[max(0, at - 60) : max(0, at - PIECE)].decode("latin-1")


def _views(output: bytes) -> Iterator[bytes]:
    """Give an output as it is, and without each way to escape what is in it."""
    yield output
    if b"%" in output:
        yield unquote_to_bytes(output)
        yield unquote_to_bytes(output.replace(b"+", b" "))
    if b"&" in output:
        yield html.unescape(output.decode("latin-1")).encode("utf-8")
    if b"\\" in output:
        yield _ESCAPED.sub(_unescaped, output)


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1] or found[2]
    if code:
        return chr(int(code, 16)).encode("utf-8", "surrogatepass")
    return _SHORT.get(found[3], found[3])


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Write octets in base64 as they look at each offset within a longer text, without what depends on neighbours."""
    for offset in range(3):
        written = base64.b64encode(bytes(offset) + secret)
        inner = written[-(-offset * 8 // 6) : (offset + len(secret)) * 8 // 6]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
