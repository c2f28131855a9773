"""When the provider wants to be asked again (RFC 9110 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

UNSAID_SECONDS = 5
"""How long to wait where the provider did not say, or not in a way that can be read."""

LONGEST_SECONDS = 60
"""How long at most: whoever names an hour by mistake must not keep users out for it."""

_MAX_DIGITS = 9


def retry_after(headers: Mapping[str, str]) -> int:
    """Read `Retry-After` as seconds from 1 to 60, five where there is none that can be read.

    `headers` have names in lower case. A date counts from the `Date` of the same answer, so that the provider's clock
    may differ from ours.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = int(text) if len(text) <= _MAX_DIGITS else LONGEST_SECONDS
    else:
        until, sent = _date(text), _date(headers.get("date", ""))
        seconds = UNSAID_SECONDS if until is None or sent is None else int((until - sent).total_seconds())
    return max(1, min(seconds, LONGEST_SECONDS))


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
