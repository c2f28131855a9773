"""The provider's pages for people: choose a user, signed out, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import parse_qsl

from werkzeug.wrappers import Response

from gateway.testing.parties import User

PAGE_HEADERS = {
    # No form-action: Chromium holds it against the redirect to the client that answers the form.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def sign_in_page(client_id: str, users: Iterable[User], action: str) -> Response:
    """Ask who signs in: one button for each user, and one to cancel."""
    buttons = "".join(_user_button(user) for user in users) or '<p class="note">This provider has no users.</p>'
    return _page(
        "Choose who you are",
        f'<p>to continue to <strong>{escape(client_id)}</strong></p><form method="post" action="{escape(action)}">'
        f'<div class="people">{buttons}</div>'
        '<button class="plain" name="cancel" value="yes">Cancel</button></form>'
        '<p class="note">A provider for tests and demonstrations. There are no passwords here.</p>',
    )


def signed_out_page(frames: Iterable[str] = ()) -> Response:
    """Say that the session at the provider has ended, and tell the clients in whose frames it says so too."""
    said = "<p>The provider no longer knows this browser. You can close this page.</p>"
    response = _page("You are signed out", said + _frames(frames))
    policy = f"{PAGE_HEADERS['Content-Security-Policy']}; frame-src https: http:"
    response.headers["Content-Security-Policy"] = policy
    return response


def leaving_page(uri: str, parameters: Mapping[str, str], frames: Iterable[str]) -> Response:
    """Load the frames, then send the browser to a URI with parameters in its query (Front-Channel Logout 1.0 3)."""
    action, _, query = uri.partition("?")
    return _self_sending("get", action, [*parse_qsl(query, keep_blank_values=True), *parameters.items()], frames)


def refusal_page(error: str, description: str) -> Response:
    """Say why a request cannot even be answered to the client (RFC 6749 4.1.2.1)."""
    return _page(
        "This request is refused", f"<p>{escape(description)}</p><p><code>{escape(error)}</code></p>", status=400
    )


def form_post_page(action: str, parameters: Mapping[str, str]) -> Response:
    """Carry an authorization response in a form that sends itself (Form Post Response Mode 2)."""
    return _self_sending("post", action, parameters.items())


def _self_sending(
    method: str, action: str, parameters: Iterable[tuple[str, str]], frames: Iterable[str] = ()
) -> Response:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in parameters
    )
    # The event waits for the frames.
    document = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>One moment</title>'
        '<body onload="document.forms[0].submit()">'
        f'<form method="{method}" action="{escape(action)}">{fields}<noscript><button>Continue</button></noscript>'
        f"</form>{_frames(frames)}"
    )
    return Response(document, mimetype="text/html", headers={"Cache-Control": "no-store"})


def _frames(urls: Iterable[str]) -> str:
    return "".join(f'<iframe src="{escape(url)}" hidden></iframe>' for url in urls)


def _user_button(user: User) -> str:
    name = str(user.claims.get("name", user.name))
    detail = str(user.claims.get("email", user.subject))
    return (
        f'<button class="person" name="user" value="{escape(user.name)}">'
        f'<span class="initial" aria-hidden="true">{escape(name[:1].upper())}</span>'
        f'<span class="who"><b>{escape(name)}</b><small>{escape(detail)}</small></span></button>'
    )


def _page(title: str, content: str, *, status: int = 200) -> Response:
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{content}</main></body></html>"
    )
    return Response(document, status=status, mimetype="text/html", headers=PAGE_HEADERS)


_STYLE = """
:root { color-scheme: light dark; --ground: #eef1f5; --card: #fff; --text: #1a2233; --soft: #566074; --line: #d5dbe5;
  --hover: #f3f6fb; --accent: #2f5bd0; --on-accent: #fff }
@media (prefers-color-scheme: dark) { :root { --ground: #10141c; --card: #1a202c; --text: #e8ecf4; --soft: #a3adbf;
  --line: #323b4d; --hover: #232b3a; --accent: #9db8ff; --on-accent: #10141c } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 1rem; overflow-wrap: anywhere }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; line-height: 1.25 }
p { margin: 0 0 1.25rem; color: var(--soft) }
strong { color: var(--text) }
code { font: .875rem ui-monospace, monospace }
.people { display: grid; gap: .5rem; margin-bottom: .75rem }
button { width: 100%; font: inherit; color: inherit; cursor: pointer; border-radius: .75rem; background: none;
  border: 1px solid transparent; padding: .75rem }
button:hover { background: var(--hover) }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.person { display: flex; align-items: center; gap: .875rem; text-align: left; border-color: var(--line) }
.initial { flex: none; width: 2.5rem; height: 2.5rem; border-radius: 50%; display: grid; place-items: center;
  background: var(--accent); color: var(--on-accent); font-weight: 600 }
.who { min-width: 0 }
.who b, .who small { display: block }
.who small, .plain { color: var(--soft) }
.note { margin: 1.25rem 0 0; font-size: .875rem }
@media (max-width: 30rem) { main { padding: 1.5rem 1.25rem } }
"""
