"""A user: signs in, reads, opens WebSockets, has proxies ask, renews, signs out and comes back."""

import asyncio
import random
import time
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from processes.load import Wire
from processes.running import COOKIE, NAVIGATION, OWN_FORM

from .client import Answer, Browser
from .site import LOCAL_CACHE_SECONDS, Site
from .sockets import echoes, ends, first_message, shake_hands
from .verdicts import SLACK_SECONDS, Held, Judge

WEIGHTS: Final = {"read": 60, "page": 10, "proxy": 12, "socket": 5, "renew": 3, "leave": 4, "return": 4}
"""How often each thing is done."""

PAUSE_SECONDS: Final = (0.3, 1.7)
AT_ONCE: Final = 4
TARGETS: Final = 8
FRAMES: Final = 4
SOCKET_SECONDS: Final = 15.0
OPEN_WHEN_LEAVING: Final = 0.3
SOCKET_ENDS_SECONDS: Final = 3.0
"""A gateway looks once a second whether the sessions of open connections live, and trusts its own copies."""


class User:
    """One user with one browser."""

    def __init__(self, site: Site, judge: Judge, name: str, chance: random.Random) -> None:
        self._site = site
        self._judge = judge
        self._name = name
        self._chance = chance
        self._browser = Browser(site.canaries)
        self._held: Held | None = None
        self._left: Held | None = None

    async def live(self, ended: asyncio.Event) -> None:
        """Do one thing after another to the end."""
        actions = {
            "read": self._read, "page": self._page, "proxy": self._proxy, "socket": self._socket, "renew": self._renew,
            "leave": self._leave, "return": self._return,
        }  # fmt: skip
        await asyncio.sleep(self._chance.uniform(0, PAUSE_SECONDS[1]))
        while not ended.is_set():
            (action,) = self._chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
            if self._held is None or self._held.lost:
                await self._sign_in()
            else:
                await actions["leave" if self._held.leaving else action](self._held)
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))

    async def becomes_well(self, until: float) -> bool:
        """Tell whether everything works at every gateway, at the latest at a time of `time.monotonic`."""
        while not await self._is_well():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(PAUSE_SECONDS[0])
        return True

    async def _is_well(self) -> bool:
        if (self._held is None or self._held.lost or self._held.leaving) and not await self._sign_in():
            return False
        held = self._held
        if held is None:
            return False
        read = [await self._read(held, origin) for origin in self._site.origins]
        return all([*read, await self._proxy(held), await self._renew(held), await self._socket(held)])

    def close(self) -> None:
        """Close the browser."""
        self._browser.close()

    async def _sign_in(self) -> bool:
        before, target = self._browser.cookies.get(COOKIE), self._target()
        start = f"/oauth2/start?{urlencode({'rd': target, 'login_hint': self._name})}"
        begun = await self._visit(start)
        if begun.status != 303:
            return self._judge.note("start", self._judge.of_login(begun), begun)
        allowed = await self._browser.once(self._site.provider.issuer, "GET", begun.location, NAVIGATION, {})
        code = parse_qs(urlsplit(allowed.location).query).get("code", [""])[0]
        if not code:
            return self._judge.note("provider", self._judge.of_provider(allowed))
        landed = await self._visit(allowed.location)
        if landed.status != 303 or self._browser.cookies.get(COOKIE, before) == before:
            return self._judge.note("callback", self._judge.of_login(landed), landed)
        self._judge.note("callback", "right", landed)
        self._held = Held(user=self._name, code=code, cookie=self._browser.cookies[COOKIE])
        return await self._read(self._held, target=target)

    async def _visit(self, target: str) -> Answer:
        return await self._browser.once(self._origin(), "GET", target, NAVIGATION, self._browser.cookies)

    async def _read(self, held: Held, origin: str = "", target: str = "") -> bool:
        target = target or self._target()
        answer = await self._browser.get(origin or self._origin(), target, {}, held.cookies)
        verdict = self._judge.of_upstream(held, target, answer)
        return self._judge.note("read", verdict, None if answer.status == 200 else answer)

    async def _page(self, held: Held) -> bool:
        """Ask for several things at once, as a page does."""
        targets = [self._target() for _ in range(AT_ONCE)]
        answers = await asyncio.gather(
            *(self._browser.once(self._origin(), "GET", target, {}, held.cookies) for target in targets)
        )
        verdicts = [self._judge.of_upstream(held, *one) for one in zip(targets, answers, strict=True)]
        noted = [self._judge.note("page", verdict) for verdict in verdicts]
        return all(noted)

    async def _proxy(self, held: Held) -> bool:
        """Ask as a proxy does that has been asked for something by the user."""
        asked = {"X-Forwarded-Uri": self._target(), "X-Forwarded-Method": "GET"}
        answer = await self._browser.get(self._origin(), "/oauth2/auth", asked, held.cookies)
        verdict = self._judge.of_access(held, answer, right=202)
        if verdict == "right" and answer.heard.field("x-auth-request-user") not in ("", self._name):
            verdict = "PROBLEM: another user"
        return self._judge.note("proxy", verdict, answer)

    async def _renew(self, held: Held) -> bool:
        answer = await self._browser.once(self._origin(), "POST", "/oauth2/refresh", OWN_FORM, held.cookies)
        return self._judge.note("renew", self._judge.of_access(held, answer), answer)

    async def _leave(self, held: Held) -> bool:
        """Sign out, and look then whether the old cookie is worth anything, and a WebSocket goes on that was open."""
        wire = await self._open(held) if self._chance.random() < OPEN_WHEN_LEAVING else None
        held.leaving = True
        answer = await self._browser.once(self._origin(), "POST", "/oauth2/sign_out", OWN_FORM, self._browser.cookies)
        if answer.status == 303:
            held.left_at = answer.answered_at
            self._held, self._left = None, held
            await self._browser.once(self._site.provider.issuer, "GET", answer.location, NAVIGATION, {})
            await asyncio.sleep(LOCAL_CACHE_SECONDS + SLACK_SECONDS)
            await self._return(held)
        if wire is not None:
            self._judge.note("open socket", await self._goes_on(held, wire))
            wire.close()
        return self._judge.note("leave", "right" if answer.status == 303 else self._judge.excuse(answer), answer)

    async def _goes_on(self, held: Held, wire: Wire) -> str:
        if held.left_at is None:
            return "right"
        return "right" if await ends(wire, SOCKET_ENDS_SECONDS) else self._judge.of_open_socket(held.left_at)

    async def _return(self, _: Held) -> bool:
        """Come with the cookie of a session that was left."""
        if self._left is None:
            return True
        verdicts = list[bool]()
        for origin in self._site.origins:
            target = self._target()
            answer = await self._browser.once(origin, "GET", target, {}, self._left.cookies)
            verdict = self._judge.of_upstream(self._left, target, answer)
            verdicts.append(self._judge.note("return", verdict, None if answer.status == 200 else answer))
        return all(verdicts)

    async def _socket(self, held: Held) -> bool:
        began_at = time.monotonic()
        try:
            verdict = await asyncio.wait_for(self._talk(held), SOCKET_SECONDS)
        except TimeoutError:
            verdict = "PROBLEM: hung"
        except (OSError, EOFError):
            verdict = self._judge.of_lost_socket(began_at, time.monotonic())
        return self._judge.note("socket", verdict)

    async def _talk(self, held: Held) -> str:
        target, asked_at = self._target(), time.monotonic()
        wire = Wire(self._origin())
        try:
            heard = await shake_hands(wire, target, self._of(held))
            if heard.status != 101:
                answer = Answer(asked_at=asked_at, answered_at=time.monotonic(), heard=heard)
                return self._judge.of_access(held, answer, right=101)
            shown = await first_message(wire)
            for _ in range(FRAMES):
                if not await echoes(wire, self._chance.randbytes(100)):
                    return "PROBLEM: another's message"
                await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS) / 4)
            return self._judge.of_shown(held, target, shown, asked_at)
        finally:
            wire.close()

    async def _open(self, held: Held) -> Wire | None:
        """Open a WebSocket and leave it open; None where that fails."""
        wire = Wire(self._origin())
        with suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(SOCKET_SECONDS):
                heard = await shake_hands(wire, self._target(), self._of(held))
                if heard.status == 101:
                    return wire
        wire.close()
        return None

    def _of(self, held: Held) -> dict[str, str]:
        return {"Origin": self._site.public_url, "Cookie": f"{COOKIE}={held.cookie}"}

    def _origin(self) -> str:
        return self._chance.choice(self._site.origins)

    def _target(self) -> str:
        return f"/ok/{self._name}/{self._chance.randrange(TARGETS)}"
