"""What a run of the conformance tests showed, as docs/CONFORMANCE.md; a plugin that pytest is given by hand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest

from conformance.catalogue import MODULES, Module

Outcome = Literal["passed", "failed", "skipped"]

HEAD: Final = """\
# Conformance

Written by `make conformance` from a run of the tests; do not edit it.

The gateway **holds the same cases as the OIDF RP modules**: the modules of the OpenID Foundation's test plans for
relying parties (Basic, Config, Dynamic, Form Post, Refresh, third-party-initiated login, RP-initiated, front-channel
and back-channel logout, FAPI 2.0 Security Profile and Message Signing), rebuilt against a provider of our own that
misbehaves in the same ways. It has been submitted to nobody for a verdict on that.

Each case runs after an honest login in the same set-up. A case that has to fail ends in one page (4xx) with one code,
sets no session cookie, reaches no app, asks the provider for nothing further and logs one line; at a refresh it ends
the session. A logout token that is refused ends no session. What is hostile in
every module (odd metadata, decoy keys, punctuation in every secret, unknown members, no forgiveness in requests) is
always on; `tests/test_conformance_hostility.py` shows that it is.

Verdicts: **OK** the login, or the sign-out, completes; **X-disc** nothing is asked for after discovery; **X-az** the
code is not redeemed; **X-idt** the tokens are not used; **X-ui** what userinfo said is not used; **200**, **400** what
a logout token is answered; **held** a rule that every call keeps. Out of scope: WebFinger (D1, D2) and request objects
that the provider fetches (D7, D8).

| id | module | verdict | reason code | tests |
| --- | --- | --- | --- | --- |
"""


class Incoherent(Exception):
    """The tests and the catalogue do not agree; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one test says that it covers."""

    id: str
    verdict: str
    code: str
    test: str
    node: str


@dataclass(slots=True)
class ConformanceReport:
    """Collects what each test covers, and how it came out."""

    claims: list[Claim] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the marks of all tests that were collected."""
        self.claims = [claim for item in session.items for claim in _claims(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test came out: as its worst phase did."""
        if report.outcome != "passed" or report.when == "call":
            self.outcomes[report.nodeid] = report.outcome

    def page(self) -> str:
        """Write the page as if every test had passed; raises `Incoherent`."""
        by_id: dict[str, list[Claim]] = {}
        for claim in self.claims:
            by_id.setdefault(claim.id, []).append(claim)
        problems = [*_problems(self.claims), *(f"{one}: no test covers it" for one in _required() if one not in by_id)]
        if problems:
            raise Incoherent("; ".join(problems))
        return HEAD + "".join(_line(module, by_id.get(module.id, [])) for module in MODULES.values())

    def not_passed(self) -> list[str]:
        """List the tests that cover a case and did not pass in the run."""
        nodes = {claim.node for claim in self.claims}
        return sorted(node for node in nodes if self.outcomes.get(node) != "passed")


def _claims(item: pytest.Item) -> Iterator[Claim]:
    for mark in item.iter_markers("conformance"):
        for case in mark.args:
            yield Claim(
                id=case,
                verdict=mark.kwargs["verdict"],
                code=mark.kwargs["code"],
                test=item.nodeid.partition("[")[0].removeprefix("tests/"),
                node=item.nodeid,
            )


def _required() -> list[str]:
    return [module.id for module in MODULES.values() if module.supported != "no"]


def _problems(claims: list[Claim]) -> Iterator[str]:
    for claim in claims:
        module = MODULES.get(claim.id)
        if module is None:
            yield f"{claim.node}: there is no case {claim.id}"
        elif module.verdict not in ("any", claim.verdict):
            yield f"{claim.node}: {claim.verdict} is not the verdict {module.verdict} of {claim.id}"


def _line(module: Module, claims: list[Claim]) -> str:
    verdicts = _joined(claim.verdict for claim in claims) or "-"
    codes = _joined(f"`{claim.code}`" for claim in claims if claim.code) or "-"
    if module.supported != "yes":
        verdicts = {"no": "not supported", "partly": "partly"}[module.supported]
        codes = module.limit
    cells = (module.id, module.name, verdicts, codes, _tests(claims))
    return "| " + " | ".join(cells) + " |\n"


def _tests(claims: list[Claim]) -> str:
    counts: Mapping[str, int] = _counted(dict.fromkeys(claim.node for claim in claims))
    return "<br>".join(f"`{test}`" + (f" ({count})" if count > 1 else "") for test, count in counts.items()) or "-"


def _counted(nodes: Mapping[str, object]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in nodes:
        test = node.partition("[")[0].removeprefix("tests/")
        counts[test] = counts.get(test, 0) + 1
    return counts


def _joined(words: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(words))
