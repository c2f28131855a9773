"""What a provider is and knows: its settings, keys, grants and the sign-ins of its own users."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from gateway.testing.faults import Alteration, Faults, Members, altered
from gateway.testing.grants import Grant, Grants, hostile_text
from gateway.testing.parties import FakeClient, User
from gateway.testing.tokens import Algorithm, KidMode, SigningKey, key_set, left_half_hash, new_signing_key

ID_TOKEN_LIFETIME = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A user's session at the provider; `auth_time` is seconds since the epoch."""

    user: str
    auth_time: int
    sid: str


@dataclass(kw_only=True, eq=False)
class ProviderState:
    """The settings of a provider, which tests may change at any time, and its memory.

    `clock` gives seconds since the epoch; `access_token_lifetime` is in seconds. `sign_in_as` signs that user in
    without asking, or the one whom `login_hint` names; when None, people choose on a page. `id_token_user_claims`
    puts the user's claims into the ID token too, not into userinfo alone.
    """

    issuer: str
    clients: Sequence[FakeClient]
    users: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: {"alice": {"email": "alice@op.example"}})
    clock: Callable[[], float] = time.time
    sign_in_as: str | None = None
    id_token_alg: Algorithm = "RS256"
    kid_mode: KidMode = "named"
    access_token_lifetime: int = 300
    include_refresh_token: bool = True
    rotate_refresh_tokens: bool = True
    response_iss: bool = True
    id_token_user_claims: bool = False
    scopes: Sequence[str] = ("openid", "profile", "email", "address", "phone", "offline_access")
    faults: Faults = field(default_factory=Faults)

    calls: Counter[str] = field(default_factory=Counter, init=False)
    unknown_paths: list[str] = field(default_factory=list, init=False)
    grants: Grants = field(default_factory=Grants, init=False, repr=False)
    jwks_path: str = field(default_factory=lambda: f"/jwks-{secrets.token_hex(4)}", init=False)
    _sign_ins: dict[str, SignIn] = field(default_factory=dict, init=False, repr=False)
    _signing_key: SigningKey | None = field(default=None, init=False, repr=False)
    _keys_made_for: tuple[Algorithm, KidMode] | None = field(default=None, init=False, repr=False)
    _key_set: Members = field(default_factory=dict, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @property
    def base(self) -> str:
        """The issuer without a trailing slash; every endpoint's URL begins with it."""
        return self.issuer.removesuffix("/")

    @property
    def base_path(self) -> str:
        """The path of `base`."""
        return urlsplit(self.base).path

    @property
    def now(self) -> int:
        """The provider's time, in whole seconds since the epoch."""
        return int(self.clock())

    def count(self, name: str) -> None:
        """Count a call."""
        with self._lock:
            self.calls[name] += 1

    def note_unknown_path(self, path: str) -> None:
        """Note a call to an address that the metadata do not name."""
        with self._lock:
            self.unknown_paths.append(path)

    def client(self, client_id: str) -> FakeClient | None:
        """Find a registered client."""
        return next((client for client in self.clients if client.client_id == client_id), None)

    def user(self, name: str) -> User | None:
        """Find a user by the name to sign in with."""
        return User(name=name, claims=self.users[name]) if name in self.users else None

    def rotate_keys(self) -> None:
        """Replace every key; the old ones are gone from the key set at once."""
        with self._lock:
            self._make_keys()

    def jwks(self) -> Members:
        """Return the key set as it is published."""
        with self._lock:
            self._current_key()
            return dict(self._key_set)

    def sign(self, claims: Mapping[str, object], *, client_id: str, alter_header: Alteration | None = None) -> str:
        """Sign any claims with the current key, or for HS256 with the client's secret."""
        with self._lock:
            key = self._current_key()
        client = self.client(client_id)
        header = altered(alter_header, self._header(key))
        return key.sign(header, claims, "" if client is None else client.client_secret)

    def id_token(self, grant: Grant, access_token: str, *, refreshed: bool) -> str:
        """Make the ID token of a login, or that of a refresh, which has no nonce (OIDC Core 2, 12.2)."""
        faults = self.faults
        alter_header = faults.refreshed_id_token_header if refreshed else faults.id_token_header
        alter_claims = faults.refreshed_id_token_claims if refreshed else faults.id_token_claims
        alter = faults.refreshed_id_token if refreshed else faults.id_token
        claims = self._id_token_claims(grant, access_token, refreshed=refreshed)
        compact = self.sign(altered(alter_claims, claims), client_id=grant.client_id, alter_header=alter_header)
        compact = compact if alter is None else alter(compact)
        self.grants.remember_id_token(compact, grant)
        return compact

    def begin_sign_in(self, user: str) -> tuple[str, SignIn]:
        """Begin a session of a user at the provider: the value of its cookie, and the session."""
        cookie = secrets.token_urlsafe(24)
        sign_in = SignIn(user=user, auth_time=self.now, sid=hostile_text())
        with self._lock:
            self._sign_ins[cookie] = sign_in
        return cookie, sign_in

    def sign_in_of(self, cookie: str) -> SignIn | None:
        """Look up the session that a cookie stands for."""
        with self._lock:
            return self._sign_ins.get(cookie)

    def end_sign_in(self, *, cookie: str, sid: str) -> None:
        """End the session of a cookie, and the one that an ID token was issued in."""
        with self._lock:
            ended = [key for key, sign_in in self._sign_ins.items() if key == cookie or sign_in.sid == sid]
            for key in ended:
                del self._sign_ins[key]

    def _current_key(self) -> SigningKey:
        if self._signing_key is None or self._keys_made_for != (self.id_token_alg, self.kid_mode):
            return self._make_keys()  # Not earlier: an RSA key costs a test tens of milliseconds.
        return self._signing_key

    def _make_keys(self) -> SigningKey:
        self._signing_key = new_signing_key(self.id_token_alg)
        self._keys_made_for = (self.id_token_alg, self.kid_mode)
        self._key_set = key_set(self._signing_key, self.kid_mode)
        return self._signing_key

    def _header(self, key: SigningKey) -> Members:
        # A MAC has no key in the key set, so nothing to name.
        named = self.kid_mode == "named" and key.algorithm != "HS256"
        return {"alg": key.algorithm, "typ": "JWT", **({"kid": key.kid} if named else {})}

    def _id_token_claims(self, grant: Grant, access_token: str, *, refreshed: bool) -> Members:
        user = self.user(grant.user)
        return {
            **(user.claims_for(grant.scope) if user is not None and self.id_token_user_claims else {}),
            "iss": self.issuer,
            "sub": grant.subject,
            "aud": grant.client_id,
            "exp": self.now + ID_TOKEN_LIFETIME,
            "iat": self.now,
            "auth_time": grant.auth_time,
            "at_hash": left_half_hash(access_token, self.id_token_alg),
            "sid": grant.sid,
            "x_unknown": {"to_be": "ignored"},
            **({} if grant.acr is None else {"acr": grant.acr}),
            **({} if refreshed else {"nonce": grant.nonce}),
        }
