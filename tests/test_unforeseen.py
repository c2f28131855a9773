"""What the log is told of errors that nobody foresaw."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.unforeseen import MAX_CAUSES, log_unforeseen

WORDS = "the words of an error"
_log = logging.getLogger("gateway.test")


def plain() -> None:
    raise KeyError(WORDS)


def caused() -> None:
    try:
        plain()
    except KeyError as error:
        raise RuntimeError(WORDS) from error


def met() -> None:
    try:
        plain()
    except KeyError:
        raise RuntimeError(WORDS)  # noqa: B904 - what was being handled is told of, too.


def replaced() -> None:
    try:
        plain()
    except KeyError:
        raise RuntimeError(WORDS) from None


def circular() -> None:
    error = RuntimeError(WORDS)
    error.__cause__ = error
    raise error


@pytest.mark.parametrize(
    ("fail", "told"),
    [
        pytest.param(plain, ["KeyError"], id="plain"),
        pytest.param(caused, ["RuntimeError", "KeyError"], id="with-a-cause"),
        pytest.param(met, ["RuntimeError", "KeyError"], id="while-another-was-handled"),
        pytest.param(replaced, ["RuntimeError"], id="in-the-place-of-another"),
        pytest.param(circular, ["RuntimeError"] * MAX_CAUSES, id="that-is-its-own-cause"),
    ],
)
def test_types_and_places_are_told_and_no_words(
    fail: Callable[[], None], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - whatever it was.
        log_unforeseen(_log, "it failed", error)
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith(f"it failed: {told[0]} at tests/test_unforeseen.py:")
    assert [part.split(" ")[0] for part in message.removeprefix("it failed: ").split(", from ")] == told
    assert f" {fail.__name__}" in message
    assert WORDS not in caplog.text


def test_an_error_that_was_never_raised_has_no_place(caplog: pytest.LogCaptureFixture) -> None:
    log_unforeseen(_log, "it failed", ValueError(WORDS))
    assert caplog.messages == ["it failed: ValueError at an unknown place"]


def test_no_module_logs_the_words_of_an_error_but_those_of_a_users_own_app() -> None:
    package = Path(__file__).parent.parent / "gateway"
    found = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"_log\.exception\(|exc_info=(?!None)", path.read_text(encoding="utf-8"))
    ]
    assert found == ["lane/in_thread.py"]
