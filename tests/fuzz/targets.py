"""All targets, in the order in which they run."""

from typing import Final

from fuzz import answers, incoming, logins, tokens, whole
from fuzz.target import Target

ALL: Final[tuple[Target, ...]] = (
    *incoming.TARGETS,
    *tokens.TARGETS,
    *answers.TARGETS,
    *logins.TARGETS,
    *whole.TARGETS,
)
