"""The keys of `logs:`: what a gateway that stands alone logs, how and where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator

from gateway.config_authorization_model import Model
from gateway.config_values import Listed, Pattern


def _new_file(value: str) -> str:
    if not value or Path(value).is_dir():
        raise ValueError("must be the path of a file")
    return value


class LogsModel(Model):
    """What is logged besides what goes wrong (docs/logs.md)."""

    format: Literal["text", "json"] = "text"
    """How: lines for people, or one JSON object a line."""
    access: bool = True
    """Whether each request that was answered has a line, without its query."""
    exclude: Listed[Pattern] = ["/ping", "/ready"]
    """Paths whose answers have none, unless they are errors of the server; written as in `routes[].path`."""
    audit: bool = True
    """Whether logins, logouts, refusals and what else happens to sessions have lines of their own."""
    audit_file: Annotated[str, AfterValidator(_new_file)] | None = None
    """A file that these go to, instead of stderr."""
    subject: Literal["hashed", "plain", "none"] = "hashed"
    """How lines name the user: by a hash under a key that is made of `session.secret`, as the provider does, or not."""
