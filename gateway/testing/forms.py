"""The forms and frames of an HTML page, as far as a browser needs them to send the ones and load the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form: where it goes, what its fields hold, and its named buttons as pairs of name and value."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


def read_forms(document: str) -> list[Form]:
    """Find the forms of a document, in their order."""
    return _read(document).forms


def read_frames(document: str) -> list[str]:
    """Find what the frames of a document show, in their order."""
    return _read(document).frames


def _read(document: str) -> _Reader:
    reader = _Reader()
    reader.feed(document)
    reader.close()
    return reader


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = attributes.get("method", "get").upper()
            self.forms.append(Form(action=attributes.get("action", ""), method=method))
            self._inside = True
        elif tag == "iframe" and attributes.get("src"):
            self.frames.append(attributes["src"])
        elif self._inside and attributes.get("name"):
            self._add_control(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"

    def _add_control(self, tag: str, attributes: dict[str, str]) -> None:
        pair = (attributes["name"], attributes.get("value", ""))
        if tag == "button" or (tag == "input" and attributes.get("type") == "submit"):
            self.forms[-1].buttons.append(pair)
        elif tag == "input":
            self.forms[-1].fields[pair[0]] = pair[1]
