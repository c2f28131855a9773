"""What is kept of the provider and for how long (OIDC Core 10.1.1, Discovery 4): caches, outages, key rotation."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug import Response

from gateway.back_channel import BackChannel
from gateway.config_provider import ProviderSettings
from gateway.errors import PROVIDER_UNREACHABLE, GatewayError, InvalidGrant, ProviderUnavailable
from gateway.kept import BACKOFF_SECONDS, KEEP_SECONDS, KEY_REFETCH_SECONDS
from gateway.oidc.authorization_request import Asked
from gateway.oidc.authorization_response import AuthorizationResponse
from gateway.oidc.client import Client
from gateway.oidc.messages import Call, Moment, Reply
from gateway.oidc.transaction import Transaction, new_transaction
from gateway.provider import Provider
from gateway.session import Login, Session, new_session
from gateway.testing import FakeClient, FakeProvider, Faults
from gateway.testing.faults import with_altered_signature
from gateway.testing.wsgi import exchange

NOW: Final = 1_800_000_000
ISSUER: Final = "https://op.example"
CALLBACK: Final = "https://app.example/callback"
THREADS: Final = 8
BOUND_SECONDS: Final = 10.0
CLIENT: Final = Client(
    client_id="app",
    client_secret="a secret of thirty-two bytes and more",
    redirect_uri=CALLBACK,
    post_logout_redirect_uri="https://app.example/bye",
    scope="openid email",
)
SETTINGS: Final = ProviderSettings(
    name="default",
    title="default",
    openid=True,
    issuer=ISSUER,
    client=CLIENT,
    asked=Asked(parameters={"acr_values": "loa2"}),
    metadata={},
    verify_tls=True,
    certificate=None,
    timeout=10,
    userinfo=True,
    subject_claim="sub",
    max_age=None,
    required_acr=(),
    requires_iss=False,
    start_parameters=frozenset({"login_hint", "ui_locales"}),
)


def begun() -> Transaction:
    moment = Moment(now=NOW, entropy=secrets.token_bytes)
    return new_transaction(provider="default", issuer=ISSUER, return_to="/", moment=moment)


class Site:
    """A provider as we know it, over one that misbehaves when told to, with a clock."""

    def __init__(self, **members: Any) -> None:
        self.now = float(NOW)
        self.op = FakeProvider(
            issuer=ISSUER,
            clients=[
                FakeClient(client_id=CLIENT.client_id, client_secret=CLIENT.client_secret, redirect_uris=[CALLBACK])
            ],
            clock=self.clock,
            sign_in_as="alice",
        )
        self.before: Callable[[Call], None] = lambda _: None
        channel = BackChannel(transport=self.transport, clock=self.clock, entropy=secrets.token_bytes)
        self.provider = Provider(settings=replace(SETTINGS, **members), channel=channel, clock=self.clock)

    def clock(self) -> float:
        return self.now

    def transport(self, call: Call) -> Reply:
        self.before(call)
        return self.op.transport(call)

    def response(self, transaction: Transaction | None = None) -> AuthorizationResponse:
        transaction = transaction or begun()
        answer = exchange(self.op, method="GET", url=self.provider.authorization_url(transaction, {}))
        parameters = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        received = self.provider.read_response(parameters, posted=False)
        return self.provider.check_response(received, transaction)

    def login(self) -> Login:
        return self.provider.redeem(self.response())

    def session(self) -> Session:
        transaction = begun()
        login = self.provider.redeem(self.response(transaction))
        return new_session(
            session_id="s1",
            transaction=transaction,
            client_id=CLIENT.client_id,
            login=login,
            now=NOW,
            ends_at=NOW + 3600,
        )

    def fail_at(self, path: str) -> None:
        def before(call: Call) -> None:
            if path in call.url:
                raise ProviderUnavailable(PROVIDER_UNREACHABLE, "down for the test")

        self.before = before


@pytest.fixture
def site() -> Site:
    return Site()


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(GatewayError) as error:
        use()
    return error.value.code


def test_a_login_gives_checked_tokens_and_userinfo(site: Site) -> None:
    login = site.login()
    assert (login.subject, login.claims["sub"], login.claims["email"]) == ("alice", "alice", "alice@op.example")
    assert login.id_token is not None
    assert login.claims["nonce"] == login.id_token.claims["nonce"]
    assert login.tokens.refresh_token is not None
    assert site.op.unknown_paths == []


def test_userinfo_is_not_asked_where_that_is_configured() -> None:
    site = Site(userinfo=False)
    login = site.login()
    assert login.id_token is not None
    assert login.claims == login.id_token.claims
    assert site.op.calls["userinfo"] == 0


def test_nothing_is_asked_before_it_is_needed(site: Site) -> None:
    assert sum(site.op.calls.values()) == 0
    site.provider.metadata()
    assert dict(site.op.calls) == {"discovery": 1}


@pytest.mark.parametrize(
    ("seconds", "fetches"),
    [
        pytest.param(0, 1, id="at once"),
        pytest.param(KEEP_SECONDS - 1, 1, id="within the hour"),
        pytest.param(KEEP_SECONDS, 2, id="after an hour"),
    ],
)
def test_metadata_and_keys_are_kept_for_an_hour(site: Site, seconds: int, fetches: int) -> None:
    site.provider.check()
    site.now += seconds
    site.provider.check()
    assert (site.op.calls["discovery"], site.op.calls["jwks"]) == (fetches, fetches)


def test_an_outage_leaves_what_was_fetched_in_use(site: Site) -> None:
    site.provider.check()
    before = site.provider.metadata()
    site.op.down = True
    site.now += 10 * KEEP_SECONDS
    assert site.provider.metadata() == before
    site.provider.check()


def test_a_provider_that_was_never_reached_is_left_alone_for_a_while(site: Site) -> None:
    calls: list[str] = []
    site.before = lambda call: calls.append(call.url)
    site.op.down = True
    assert code_of(site.provider.metadata) == "provider_unreachable"
    site.op.down = False
    site.now += BACKOFF_SECONDS - 1
    assert code_of(site.provider.metadata) == "provider_unreachable"
    assert len(calls) == 1
    site.now += 1
    assert site.provider.metadata().issuer == ISSUER
    assert len(calls) == 2


def test_a_kept_value_is_renewed_soon_after_an_outage(site: Site) -> None:
    site.provider.check()
    site.op.down = True
    site.now += KEEP_SECONDS
    site.provider.check()
    site.op.down = False
    site.now += BACKOFF_SECONDS
    site.provider.check()
    assert site.op.calls["discovery"] == 2


def test_c3_metadata_of_another_issuer_are_refused(site: Site) -> None:
    site.op.faults.discovery = lambda members: {**members, "issuer": f"{ISSUER}INVALID"}
    assert code_of(site.provider.metadata) == "metadata_issuer_mismatch"


def test_metadata_by_hand_need_no_discovery() -> None:
    endpoints = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    site = Site(metadata={name: f"{ISSUER}/{name}" for name in endpoints})
    assert site.provider.metadata().jwks_uri == f"{ISSUER}/jwks_uri"
    assert site.op.calls["discovery"] == 0


def together(use: Callable[[], object]) -> list[object]:
    """Use the provider in threads that all begin at once."""
    barrier = threading.Barrier(THREADS)

    def run(_: int) -> object:
        barrier.wait(BOUND_SECONDS)
        return use()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_one_thread_discovers_for_all(site: Site) -> None:
    metadata = together(site.provider.metadata)
    assert all(found == metadata[0] for found in metadata)
    assert site.op.calls["discovery"] == 1


def test_while_one_thread_renews_the_others_use_what_is_kept(site: Site) -> None:
    before = site.provider.metadata()
    site.now += KEEP_SECONDS
    asked, go_on = threading.Event(), threading.Event()

    def wait(_: Call) -> None:
        asked.set()
        assert go_on.wait(BOUND_SECONDS)

    site.before = wait
    with ThreadPoolExecutor(1) as pool:
        renewal = pool.submit(site.provider.metadata)
        assert asked.wait(BOUND_SECONDS)
        assert site.provider.metadata() == before
        go_on.set()
        assert renewal.result(BOUND_SECONDS) == before
    assert site.op.calls["discovery"] == 2


@pytest.mark.parametrize("kid_mode", ["named", "absent_single", "absent_several"])
def test_c5_keys_that_were_replaced_are_fetched_anew(site: Site, kid_mode: Any) -> None:
    site.op.kid_mode = kid_mode
    site.login()
    site.op.rotate_keys()
    assert site.login().subject == "alice"
    assert site.op.calls["jwks"] == 2


@pytest.mark.parametrize(
    ("seconds", "fetches"),
    [
        pytest.param(KEY_REFETCH_SECONDS - 1, 2, id="within the minute"),
        pytest.param(KEY_REFETCH_SECONDS, 3, id="after a minute"),
    ],
)
def test_a_key_that_nobody_knows_is_asked_for_once_a_minute(site: Site, seconds: int, fetches: int) -> None:
    site.provider.check()
    site.op.faults.id_token_header = lambda header: {**header, "kid": "unknown"}
    assert [code_of(site.login) for _ in range(3)] == ["jwt_key_unknown"] * 3
    assert site.op.calls["jwks"] == 2
    site.now += seconds
    assert code_of(site.login) == "jwt_key_unknown"
    assert site.op.calls["jwks"] == fetches


def test_b10_a_wrong_signature_is_asked_about_once_a_minute(site: Site) -> None:
    site.provider.check()
    site.op.faults.id_token = with_altered_signature
    assert [code_of(site.login) for _ in range(3)] == ["jwt_signature_invalid"] * 3
    assert site.op.calls["jwks"] == 2


def test_a_token_that_is_wrong_otherwise_fetches_no_keys(site: Site) -> None:
    site.provider.check()
    site.op.faults.id_token_claims = lambda claims: {**claims, "nonce": "other"}
    assert code_of(site.login) == "id_token_nonce_mismatch"
    assert site.op.calls["jwks"] == 1


def test_after_a_rotation_all_waiting_logins_use_the_new_keys_of_one_fetch(site: Site) -> None:
    site.provider.check()
    site.op.rotate_keys()
    responses = [site.response() for _ in range(THREADS)]
    logins = together(lambda: site.provider.redeem(responses.pop()))
    assert len(logins) == THREADS
    assert site.op.calls["jwks"] == 2


def test_keys_that_cannot_be_fetched_after_a_rotation_are_an_outage(site: Site) -> None:
    session = site.session()
    site.op.rotate_keys()
    site.fail_at(site.op.jwks_path)
    with pytest.raises(ProviderUnavailable) as error:
        site.provider.refresh(session)
    assert error.value.code == "provider_unreachable"
    site.before = lambda _: None
    site.now += BACKOFF_SECONDS
    assert site.login().subject == "alice"


def test_r1_a_refresh_gives_new_tokens(site: Site) -> None:
    session = site.session()
    tokens, id_token = site.provider.refresh(session)
    assert tokens.access_token != session.access_token
    assert id_token is None or id_token.subject == session.subject


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        pytest.param({"iss": f"{ISSUER}1"}, "id_token_iss_mismatch", id="R2"),
        pytest.param({"sub": "mallory"}, "id_token_sub_mismatch", id="R3"),
    ],
)
def test_a_refresh_about_another_login_is_refused(site: Site, claims: dict[str, object], code: str) -> None:
    session = site.session()
    site.op.faults.refreshed_id_token_claims = lambda honest: {**honest, **claims}
    assert code_of(lambda: site.provider.refresh(session)) == code


def test_a_refresh_token_that_is_worth_nothing(site: Site) -> None:
    session = replace(site.session(), refresh_token="spent")
    with pytest.raises(InvalidGrant) as error:
        site.provider.refresh(session)
    assert error.value.code == "token_grant_invalid"
    site.provider.refresh(site.session())


def test_after_an_outage_refreshes_leave_the_provider_alone_for_a_while(site: Site) -> None:
    session = site.session()
    calls: list[str] = []
    site.before = lambda call: calls.append(call.url)
    site.op.down = True
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            site.provider.refresh(session)
    assert len(calls) == 1
    site.op.down = False
    site.now += BACKOFF_SECONDS - 1
    with pytest.raises(ProviderUnavailable) as error:
        site.provider.refresh(session)
    assert error.value.retry_after is not None
    assert len(calls) == 1
    site.now += 1
    assert site.provider.refresh(session)[0].access_token != session.access_token


def test_a_login_is_tried_during_the_pause_of_the_refreshes(site: Site) -> None:
    session = site.session()
    site.fail_at("/token")
    with pytest.raises(ProviderUnavailable):
        site.provider.refresh(session)
    site.before = lambda _: None
    assert site.login().subject == "alice"


def _answering(status: int) -> Faults:
    return Faults(response=lambda name, response: Response(status=status) if name == "revoke" else response)


@pytest.mark.parametrize(
    ("faults", "later"),
    [
        pytest.param(Faults(), False, id="RFC 7009 2.2: it is revoked"),
        pytest.param(Faults(down=True), True, id="nothing answers"),
        pytest.param(_answering(503), True, id="RFC 7009 2.2.1: a 503 may be tried again"),
        pytest.param(_answering(500), True, id="a failure of the provider"),
        pytest.param(_answering(429), True, id="it has had enough for now"),
        pytest.param(_answering(400), False, id="a refusal stays one"),
        pytest.param(_answering(401), False, id="so does that of a client"),
    ],
)
def test_a_revocation_that_may_work_later_says_so(site: Site, faults: Faults, later: bool) -> None:
    token = site.session().refresh_token or ""
    site.op.faults = faults
    if later:
        with pytest.raises(ProviderUnavailable):
            site.provider.revoke(token, "refresh_token")
    else:
        site.provider.revoke(token, "refresh_token")
    assert site.op.is_active(token) is (faults.down or False)


def test_without_a_provider_there_is_no_sign_out_there(site: Site) -> None:
    site.op.down = True
    assert site.provider.end_session("id-token", "state") is None
    site.op.down = False
    site.now += BACKOFF_SECONDS
    there = site.provider.end_session("id-token", "state-1")
    assert there is not None
    assert dict(parse_qsl(urlsplit(there.url).query))["state"] == "state-1"


@pytest.mark.parametrize("name", ["redirect_uri", "state", "nonce", "scope", "client_id", "response_type"])
def test_no_parameter_replaces_what_protects_the_flow(site: Site, name: str) -> None:
    url = site.provider.authorization_url(begun(), {name: "evil", "login_hint": "alice"})
    pairs = parse_qsl(urlsplit(url).query)
    assert len(dict(pairs)) == len(pairs)
    assert "evil" not in dict(pairs).values()
    assert (dict(pairs)["login_hint"], dict(pairs)["acr_values"]) == ("alice", "loa2")
