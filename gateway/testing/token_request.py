"""A token request whose client has proven itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.testing.parties import FakeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """What is asked for, by whom; `jkt` is the key of its DPoP proof, `cnf` what the tokens will be bound to."""

    client: FakeClient
    parameters: Mapping[str, str] = field(repr=False)
    jkt: str | None = None
    cnf: Mapping[str, object] | None = None
