"""What is told of a request that was one too many."""

from __future__ import annotations

from http import HTTPStatus

from gateway.problem import Problem

OVERLOADED = Problem(
    code="overloaded",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    title="This site has too much to do",
    advice="Wait a moment, then reload the page.",
)
TOO_MANY_LOGINS = Problem(
    code="too_many_logins",
    status=HTTPStatus.TOO_MANY_REQUESTS,
    title="Too many sign-ins were begun from your network",
    advice="Wait a moment, then start again from the page that you wanted to see.",
)
