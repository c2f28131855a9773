"""Second thoughts about an answer (`gateway.reactions`), which a thread has: when, and what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from werkzeug import Response

from gateway.errors import REQUEST_INCOMPLETE, GatewayError
from gateway.inner import Admitted, React
from gateway.telemetry import Tag, tagged
from gateway.unforeseen import problem_of
from gateway.upstream_answer import Head

Outcome = Response | Admitted


def reaction_to(head: Head, admitted: Admitted, tag: Tag) -> Callable[[], Outcome | None] | None:
    """Tell what has to be asked before an answer goes out, for the request of a tag; None where it can go."""
    react, proven = admitted.react, admitted.passage.is_proven
    if react is not None and (head.status == 401 or (proven and head.has("dpop-nonce"))):
        return partial(_react, react, head, tag)
    return None


def _react(react: React, head: Head, tag: Tag) -> Outcome | None:
    with tagged(tag):
        return react(head.status, head.passed)


def outcome_of(done: asyncio.Future[Any], *, is_body_gone: bool) -> Outcome | None:
    """Return what is done in the place of answering, if something is.

    Raises what the reaction did, as `internal_error` if it is no `GatewayError`, and `request_incomplete` where a body
    would have to be sent once more.
    """
    try:
        other: Outcome | None = done.result()
    except GatewayError:
        raise
    except BaseException as error:
        raise problem_of(error) from error
    if isinstance(other, Admitted) and is_body_gone:
        raise GatewayError(REQUEST_INCOMPLETE, "the body cannot be sent again")
    return other
