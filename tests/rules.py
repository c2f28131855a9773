"""A rule in Python, as a user of `require.check` writes one."""

from gateway.session import Session
from gateway.target import RequestTarget


def may_pass(session: Session, target: RequestTarget) -> object:
    """Let users see what is under their own name; an answer for each way in which a rule can go wrong."""
    if target.path == "/mine/boom":
        raise RuntimeError("a fault in the rule")
    answers: dict[str, object] = {"/mine/none": None, "/mine/one": 1, "/mine/text": "True"}
    return answers.get(target.path, target.path == f"/mine/{session.subject}")
