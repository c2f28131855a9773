"""What a provider is and knows: its settings, keys, grants and the sign-ins of its own users."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from gateway.testing.authorization_request import Waiting
from gateway.testing.client_metadata import Registration
from gateway.testing.dpop_proof import Nonces
from gateway.testing.faults import Alteration, Faults, Members, altered
from gateway.testing.grants import Grants, hostile_text
from gateway.testing.jwk import PrivateKey
from gateway.testing.jws import KIND_OF_ALGORITHM, Algorithm, sign
from gateway.testing.keys import KidMode, ProviderKeys, new_keys
from gateway.testing.parties import FakeClient, User


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A user's session at the provider; `auth_time` is seconds since the epoch."""

    user: str
    auth_time: int
    sid: str
    acr: str | None = None


@dataclass(kw_only=True, eq=False)
class ProviderState:
    """The settings of a provider, which tests may change at any time, and its memory.

    `clock` gives seconds since the epoch; `access_token_lifetime` is in seconds. `sign_in_as` signs that user in
    without asking, or the one whom `login_hint` names; when None, people choose on a page. `id_token_user_claims`
    puts the user's claims into the ID token too, not into userinfo alone. `dpop_nonces` demands a nonce in every DPoP
    proof, of which the newest `dpop_nonce_window` count. `client_scopes` are those that a client may have for itself,
    `exchange_audiences` the targets of token exchange. `introspection_max_age` is the seconds that an
    introspection may be kept.

    `acrs_supported`, `resources` and `authorization_details_types` are those that it has, None for any. Its key set
    holds the keys of `id_token_alg`, of `extra_signing_algs` and of what its clients have registered, and those to
    encrypt to with `request_object_encryption`. `mtls_aliases` gives clients with a certificate addresses of their own;
    `presented_certificate` is the thumbprint of the one that such a call presents. What authorization requests said in
    the end, however they came, is in `requests`, what was odd about them in `warnings`.

    Registration needs a token with the scope `dcr` when `initial_access_tokens` is set, takes what
    `software_templates` says for a `software_id`, names no end of a secret unless `client_secret_lifetime` (seconds,
    0 for never) is set, changes its own tokens when `rotate_registration_tokens` is set, and reads a `jwks_uri` by
    `read_jwks`. A client of `tls_client_auth` is the one whose certificate is `presented_certificate`.

    `logout_transport` posts a logout token: it is given the URL and the form, and returns the status that was answered,
    which `logout_answers` collects. Without it none is sent.
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
    extra_signing_algs: Sequence[Algorithm] = ()
    request_object_encryption: Sequence[str] = ()
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    pushed_request_lifetime: int = 60
    acrs_supported: Sequence[str] | None = None
    resources: Sequence[str] | None = None
    authorization_details_types: Sequence[str] | None = None
    mtls_aliases: bool = False
    presented_certificate: str = ""
    dpop_nonces: bool = False
    dpop_nonce_window: int = 1
    client_scopes: Sequence[str] = ("dcr",)
    exchange_audiences: Sequence[str] = ()
    introspection_max_age: int | None = None
    initial_access_tokens: bool = False
    software_templates: Mapping[str, Members] = field(default_factory=dict)
    client_secret_lifetime: int | None = None
    rotate_registration_tokens: bool = False
    read_jwks: Callable[[str], Mapping[str, object]] | None = None
    logout_transport: Callable[[str, bytes], int] | None = None
    faults: Faults = field(default_factory=Faults)

    calls: Counter[str] = field(default_factory=Counter, init=False)
    unknown_paths: list[str] = field(default_factory=list, init=False)
    requests: list[dict[str, str]] = field(default_factory=list, init=False)
    warnings: list[str] = field(default_factory=list, init=False)
    logout_answers: list[int] = field(default_factory=list, init=False)
    pushed: Waiting = field(default_factory=Waiting, init=False, repr=False)
    interactions: Waiting = field(default_factory=Waiting, init=False, repr=False)
    grants: Grants = field(default_factory=Grants, init=False, repr=False)
    jwks_path: str = field(default_factory=lambda: f"/jwks-{secrets.token_hex(4)}", init=False)
    _registrations: dict[str, Registration] = field(default_factory=dict, init=False, repr=False)
    server_nonces: Nonces = field(default_factory=Nonces, init=False, repr=False)
    resource_nonces: Nonces = field(default_factory=Nonces, init=False, repr=False)
    _sign_ins: dict[str, SignIn] = field(default_factory=dict, init=False, repr=False)
    _keys: ProviderKeys | None = field(default=None, init=False, repr=False)
    _keys_made_for: object = field(default=None, init=False, repr=False)
    _used: set[tuple[str, str]] = field(default_factory=set, init=False, repr=False)
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

    def note_request(self, parameters: Mapping[str, str]) -> None:
        """Note what was asked at the authorization endpoint."""
        with self._lock:
            self.requests.append(dict(parameters))

    def note_warning(self, warning: str) -> None:
        """Note what is no fault and still not right."""
        with self._lock:
            self.warnings.append(warning)

    def is_first_use(self, kind: str, value: str) -> bool:
        """Note the use of something that is good once, a `jti` for instance, and tell whether it is the first."""
        with self._lock:
            first = (kind, value) not in self._used
            self._used.add((kind, value))
            return first

    def client(self, client_id: str) -> FakeClient | None:
        """Find a registered client."""
        return next((client for client in self.clients if client.client_id == client_id), None)

    def put_registration(self, registration: Registration, client: FakeClient) -> None:
        """Register a client, or register it anew."""
        with self._lock:
            self._registrations[client.client_id] = registration
            self.clients = [*(other for other in self.clients if other.client_id != client.client_id), client]

    def registration(self, client_id: str) -> Registration | None:
        """Find the registration of a client that registered itself."""
        with self._lock:
            return self._registrations.get(client_id)

    def remove_registration(self, client_id: str) -> None:
        """Forget a client, and end whatever it was granted (RFC 7592 2.3)."""
        with self._lock:
            self._registrations.pop(client_id, None)
            self.clients = [client for client in self.clients if client.client_id != client_id]
        self.grants.end_all_of(client_id)

    def user(self, name: str) -> User | None:
        """Find a user by the name to sign in with."""
        return User(name=name, claims=self.users[name]) if name in self.users else None

    def rotate_keys(self) -> None:
        """Replace every key; the old ones are gone from the key set at once."""
        with self._lock:
            self._keys = None

    def jwks(self) -> Members:
        """Return the key set as it is published."""
        with self._lock:
            return dict(self._current_keys().key_set)

    def decryption_keys(self) -> tuple[str, Mapping[str, PrivateKey]]:
        """Return the private keys that request objects are encrypted for: their `kid`, and the keys by kind."""
        with self._lock:
            keys = self._current_keys()
            return keys.decryption_kid, keys.decryption

    def sign(
        self,
        claims: Mapping[str, object],
        *,
        client_id: str,
        alter_header: Alteration | None = None,
        algorithm: str = "",
    ) -> str:
        """Sign any claims with the current key, by `id_token_alg` or another algorithm whose key is published.

        For HS256 and its like the key is the client's secret.
        """
        algorithm = algorithm or self.id_token_alg
        with self._lock:
            keys = self._current_keys()
        if algorithm not in KIND_OF_ALGORITHM:  # A MAC has no key in the key set, so nothing to name.
            client = self.client(client_id)
            secret = "" if client is None else client.client_secret
            header = altered(alter_header, {"alg": algorithm, "typ": "JWT"})
            return sign(header, claims, secret.encode("utf-8"), algorithm)
        named = {"kid": keys.kid} if self.kid_mode == "named" else {}
        header = altered(alter_header, {"alg": algorithm, "typ": "JWT", **named})
        return sign(header, claims, keys.signing_key(algorithm), algorithm)

    def begin_sign_in(self, user: str, acr: str | None = None) -> tuple[str, SignIn]:
        """Begin a session of a user at the provider: the value of its cookie, and the session."""
        cookie = secrets.token_urlsafe(24)
        sign_in = SignIn(user=user, auth_time=self.now, sid=hostile_text(), acr=acr)
        with self._lock:
            self._sign_ins[cookie] = sign_in
        return cookie, sign_in

    def sign_in_of(self, cookie: str) -> SignIn | None:
        """Look up the session that a cookie stands for."""
        with self._lock:
            return self._sign_ins.get(cookie)

    def end_sign_ins(self, *, cookie: str = "", sid: str = "", user: str = "") -> list[SignIn]:
        """End the session of a cookie, the one that an ID token was issued in, and those of a user; returns them."""
        with self._lock:
            ended = {
                key: sign_in
                for key, sign_in in self._sign_ins.items()
                if key == cookie or sign_in.sid == sid or sign_in.user == user
            }
            for key in ended:
                del self._sign_ins[key]
        return list(ended.values())

    def _current_keys(self) -> ProviderKeys:
        algorithms = {self.id_token_alg, *self.extra_signing_algs, *(alg for one in self.clients for alg in one.algs)}
        wanted = (frozenset(algorithms), tuple(self.request_object_encryption), self.kid_mode)
        if self._keys is None or self._keys_made_for != wanted:  # Not earlier: an RSA key costs tens of milliseconds.
            self._keys, self._keys_made_for = new_keys(*wanted), wanted
        return self._keys
