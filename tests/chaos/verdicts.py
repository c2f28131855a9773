"""What is right of an answer, what a fault explains, and what is a problem: one word for each answer."""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from processes.running import COOKIE

from .client import HUNG, LOST, Answer
from .faults import CUT_BY, EXPLAINED_BY, LEASE_TAIL, LOST_BY, FaultLog, Kind
from .site import API_KEY_FIELD, LOCAL_CACHE_SECONDS, Site

SLACK_SECONDS: Final = 0.5
"""By how much our clock may be behind, with as many users on as few cores."""

SAMPLES: Final = 40
"""So many answers of ours of each kind are kept, and searched for secrets in the end."""

_AWAY: Final = range(502, 505)
_EXPECTED_FIELDS: Final = ("set-cookie", "location")


@dataclass(kw_only=True, slots=True, eq=False)
class Held:
    """A session in a browser: the code of its login, its cookie, and how it stands.

    `left_at` is when a sign-out was answered, by `time.monotonic`; `leaving` says that one was at least asked for.
    """

    user: str
    code: str = field(repr=False)
    cookie: str = field(repr=False)
    leaving: bool = False
    left_at: float | None = None
    lost: bool = False

    @property
    def cookies(self) -> Mapping[str, str]:
        """What a browser sends for it."""
        return {COOKIE: self.cookie}


class Judge:
    """Counts what was seen, and collects problems and what was told to browsers.

    `troubled_at` is when something was last not right, `calm_from` when no fault is an explanation any more; both by
    `time.monotonic`.
    """

    def __init__(self, site: Site, faults: FaultLog) -> None:
        self._site = site
        self._faults = faults
        self.seen: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.told: defaultdict[str, list[bytes]] = defaultdict(list)
        self.calm_from = math.inf
        self.troubled_at = 0.0

    def note(self, what: str, verdict: str, answer: Answer | None = None) -> bool:
        """Count a verdict, and tell whether all was right."""
        now = time.monotonic()
        self.seen[f"{what}: {verdict}"] += 1
        if verdict != "right":
            self.troubled_at = now
        if verdict != "right" and (now > self.calm_from or verdict.startswith("PROBLEM")):
            self.problems[f"{what}: {verdict}"] += 1
            self._faults.tell(now, f"{what}: {verdict}")
        if answer is not None and answer.status > LOST:  # What is there of a lost one is the upstream's.
            self._keep(what, answer)
        return verdict == "right"

    def of_upstream(self, held: Held, target: str, answer: Answer) -> str:
        """Judge an answer of the upstream, or one in its place."""
        if answer.status == LOST:
            return self._wrong_part(held, target, answer) or self.excuse(answer)
        if answer.status != 200:
            return self.of_access(held, answer)
        return self._stale(held, answer) or self.of_shown(held, target, answer.heard.body, answer.asked_at)

    def of_access(self, held: Held, answer: Answer, right: int = 200) -> str:
        """Judge whether somebody was let in who may be."""
        if answer.status == right:
            return self._stale(held, answer) or "right"
        if answer.status in (401, 303):
            return self._demanded(held)
        return self.excuse(answer)

    def of_shown(self, held: Held, target: str, body: bytes, asked_at: float) -> str:
        """Judge what the upstream saw: the right user, with a token of that very login that has not ended."""
        try:
            shown: dict[str, Any] = json.loads(body)
        except ValueError:
            return "PROBLEM: not what the upstream said"
        fields = shown["fields"]
        issued = self._site.tap.issued(str(fields.get("authorization", "")).removeprefix("Bearer "))
        if issued is None or issued.code != held.code:
            return "PROBLEM: a token of another login"
        claims = self._site.provider.users[held.user]
        if (fields.get("x-forwarded-user"), fields.get("x-forwarded-email")) != (held.user, claims["email"]):
            return "PROBLEM: another user"
        if issued.ends_at + SLACK_SECONDS < asked_at:
            return "PROBLEM: a token that had ended"
        if shown["target"] != target or fields.get(API_KEY_FIELD) != self._site.api_key:
            return "PROBLEM: another request"
        return "PROBLEM: a cookie of ours went on" if COOKIE in fields.get("cookie", "") else "right"

    def excuse(self, answer: Answer) -> str:
        """Name the fault that explains a failure, or the problem."""
        since, until = answer.asked_at, answer.answered_at
        if answer.status == HUNG:
            return "PROBLEM: hung"
        if answer.status == LOST:
            return "lost" if self._faults.explain(CUT_BY, since, until) else "PROBLEM: lost"
        if self._is_busy_after_kill(answer):
            return f"{answer.status} {answer.code}"
        kinds = EXPLAINED_BY.get(answer.code, ())
        known = answer.status in _AWAY and self._faults.explain(kinds, since, until)
        unretried = answer.status == 503 and not answer.heard.field("retry-after").isdigit()
        if not known or unretried:
            return f"PROBLEM: {answer.status} {answer.code}"
        return f"{answer.status} {answer.code}"

    def of_login(self, answer: Answer) -> str:
        """Judge a step of a login that did not go on: the provider's fault may be told by a page, too."""
        explained = self._faults.explain(EXPLAINED_BY.get(answer.code, ()), answer.asked_at, answer.answered_at)
        return f"403 {answer.code}" if answer.status == 403 and explained else self.excuse(answer)

    def of_provider(self, answer: Answer) -> str:
        """Judge a step at the provider that did not go on."""
        explained = self._faults.explain({Kind.PROVIDER}, answer.asked_at, answer.answered_at)
        return "the provider was away" if explained else f"PROBLEM: the provider answered {answer.status}"

    def of_lost_socket(self, since: float, until: float) -> str:
        """Judge a WebSocket that was cut."""
        return "cut" if self._faults.explain(LOST_BY, since, until) else "PROBLEM: cut"

    def of_open_socket(self, left_at: float) -> str:
        """Judge a WebSocket that goes on after a sign-out: while the store is away nothing can be concluded."""
        explained = self._faults.explain({Kind.REDIS, Kind.LATE}, left_at, time.monotonic())
        return "went on while Redis was away" if explained else "PROBLEM: went on after the sign-out"

    def unexplained_refusals(self) -> list[str]:
        """List the refresh tokens that were refused although nothing that was killed could have lost the next one.

        A worker that is killed after the provider has used a refresh token up, and before the next one is stored,
        loses it; so does a connection to the provider that is cut then.
        """
        kinds = {Kind.WORKER, Kind.PROVIDER, Kind.LATE}
        found = list[str]()
        for one in list(self._site.tap.refused):
            refused = f"a refresh token was refused at {one.at - self._faults.began_at:.1f} s"
            if one.used_at is None:
                found.append(f"{refused} that was never used")
            elif not self._faults.explain(kinds, one.used_at - 1, one.used_at + LEASE_TAIL, tail=1.0):
                found.append(f"{refused} that had been used at {one.used_at - self._faults.began_at:.1f} s")
        return found

    def _wrong_part(self, held: Held, target: str, answer: Answer) -> str:
        # An upstream that cuts its answers has often said all that it saw.
        try:
            json.loads(answer.heard.body)
        except ValueError:
            return ""
        verdict = self.of_shown(held, target, answer.heard.body, answer.asked_at)
        return "" if verdict == "right" else verdict

    def _stale(self, held: Held, answer: Answer) -> str:
        if held.left_at is None or answer.asked_at < held.left_at + LOCAL_CACHE_SECONDS + SLACK_SECONDS:
            return ""
        return "PROBLEM: let in after the sign-out"

    def _demanded(self, held: Held) -> str:
        if held.leaving:
            return "right"
        held.lost = True
        if self._site.tap.has_refused(held.code):
            return "signed out: the provider refused its refresh token"
        return "PROBLEM: signed out without cause"

    def _is_busy_after_kill(self, answer: Answer) -> bool:
        kinds = {Kind.WORKER}
        return answer.code == "session_busy" and self._faults.explain(
            kinds, answer.asked_at, answer.answered_at, tail=LEASE_TAIL
        )

    def _keep(self, what: str, answer: Answer) -> None:
        kept = self.told[f"{what} {answer.status} {answer.code}"]
        if len(kept) < SAMPLES:
            fields = [f"{name}: {value}" for name, value in answer.heard.fields if name not in _EXPECTED_FIELDS]
            kept.append("\n".join(fields).encode("latin-1") + b"\n\n" + answer.heard.body)
