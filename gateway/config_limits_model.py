"""The keys of `limits:`, how much each process takes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config_authorization_model import Model
from gateway.config_values import COUNT, Duration

Most = Annotated[int, Field(ge=0, le=1_000_000), COUNT]


class LimitsModel(Model):
    """How much each process takes on before it answers 503, or 429; 0 is any number."""

    requests: Most = 1000
    """How many requests a process has in threads, or waiting for one; more get 503. 0: any number."""
    upstream_requests: Most = 1000
    """How many requests of a process wait for one upstream to begin its answer; more get 503. 0: any number."""
    connections: Most = 10_000
    """How many connections of clients a worker of the lane has; more wait until one ends. 0: any number."""
    logins: Most = 1000
    """How many logins one address (in IPv6, one /64) may begin in a process; more get 429. 0: any number."""
    logins_within: Annotated[Duration, Field(ge=1, le=86400)] = 60
    """The time for `limits.logins`: within it, that many may begin again."""
