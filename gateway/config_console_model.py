"""The keys of `console:`: the developer's console, and whom it is for."""

from __future__ import annotations

from typing import Literal

from gateway.config_authorization_model import Model
from gateway.config_route_model import RequireModel
from gateway.config_values import Listed

ConsoleParameter = Literal[
    "scope", "acr_values", "prompt", "max_age", "ui_locales", "login_hint", "claims", "resource",
]  # fmt: skip


class ConsoleModel(Model):
    """The developer's console, which is never for users."""

    enabled: bool = False
    """Whether <prefix>/console is there: a page for developers that shows what logins ask and bring."""
    require: RequireModel = RequireModel()
    """Whom it is for, with the keys of `routes[].require`; it may be empty only where `public_url` is on localhost."""
    parameters: Listed[ConsoleParameter] = [
        "scope", "acr_values", "prompt", "max_age", "ui_locales", "login_hint", "claims", "resource",
    ]  # fmt: skip
    """What may be chosen there for a login; links to <prefix>/start gain nothing by it."""

    @property
    def says_who(self) -> bool:
        """Whether the rule is about who somebody is, or where, and not only about how they signed in."""
        return self.require.asks_who or bool(self.require.networks or self.require.check)
