"""A case of a table: what the provider does, and what has to come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from conformance.catalogue import MODULES, Verdict
from gateway.testing import Faults

_STEPS: Final[dict[Verdict, tuple[str, ...]]] = {
    "X-az": ("authorize",),
    "X-idt": ("authorize", "token.authorization_code"),
    "X-ui": ("authorize", "token.authorization_code", "userinfo"),
    "OK": ("authorize", "token.authorization_code", "userinfo"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A fault that has to end in a page with this code.

    `refetch` says that the keys are fetched once more before; `about` is what the line in the log has to name, where
    several faults have one code.
    """

    faults: Faults
    code: str
    verdict: Verdict
    status: int = 403
    refetch: bool = False
    about: str = ""

    def asked(self, *, pushed: bool) -> set[str]:
        """Name what the provider is asked until then, and no more; metadata and keys are known."""
        steps = set(_STEPS[self.verdict]) | ({"jwks"} if self.refetch else set())
        return steps | {"par"} if pushed else steps


def refused(
    name: str,
    faults: Faults,
    code: str,
    verdict: Verdict = "X-idt",
    *,
    status: int = 403,
    refetch: bool = False,
    about: str = "",
) -> Any:
    """Make a row of a table from a fault; the name begins with the ids that it covers, as in `B2-A4-iss`."""
    case = Refused(faults=faults, code=code, verdict=verdict, status=status, refetch=refetch, about=about)
    return pytest.param(case, id=name, marks=covers(*_ids(name), verdict=verdict, code=code))


def accepted(name: str, faults: Faults) -> Any:
    """Make a row of a table from what is unusual and still right."""
    return pytest.param(faults, id=name, marks=covers(*_ids(name), verdict="OK"))


def covers(*ids: str, verdict: Verdict, code: str = "") -> pytest.MarkDecorator:
    """Mark a test as covering cases of the catalogue; `code` is the reason that it insists on."""
    return pytest.mark.conformance(*ids, verdict=verdict, code=code)


def for_plan(letters: str, rows: tuple["Row", ...], faults: Callable[["Row"], Faults], verdict: Verdict) -> list[Any]:
    """Make a table of refusals out of rows that several plans share, under the ids of the plans of these letters."""
    return [
        refused(
            "-".join([*(case for case in row.ids if case[0] in letters), row.name]),
            faults(row),
            row.code,
            verdict,
            refetch=row.refetch,
            about=row.about,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault of an ID token that several plans have: of its claims, or of the finished token."""

    name: str
    ids: tuple[str, ...]
    code: str
    claims: Callable[[dict[str, object]], dict[str, object]] | None = None
    token: Callable[[str], str] | None = None
    refetch: bool = False
    about: str = ""


def noting(seen: list[Any]) -> Callable[[Any], Any]:
    """Make a fault that alters nothing, and notes what it is given."""

    def note(value: Any) -> Any:
        seen.append(value)
        return value

    return note


def _ids(name: str) -> list[str]:
    found: list[str] = []
    for part in name.split("-"):
        if part not in MODULES:
            return found
        found.append(part)
    return found
