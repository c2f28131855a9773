"""The parameters of a request, read strictly."""

from __future__ import annotations

from werkzeug.wrappers import Request

from gateway.testing.parties import Refusal


def single_values(request: Request) -> dict[str, str]:
    """Read the parameters of query and form, each of which may occur once (RFC 6749 3.1), but for `resource`.

    `resource` and `audience` may be repeated (RFC 8707 2, RFC 8693 2.1); then their values are joined by a space,
    which no URI has.
    """
    pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
    parameters = dict(pairs)
    repeated = [name for name in parameters if sum(name == other for other, _ in pairs) > 1]
    if set(repeated) - {"resource", "audience"}:
        raise Refusal("invalid_request", "a parameter occurs twice")
    joined = {name: " ".join(value for other, value in pairs if other == name) for name in repeated}
    return {**parameters, **joined}


def form_parameters(request: Request) -> dict[str, str]:
    """Read the form of a back channel call; secrets do not belong into the query (RFC 6749 2.3.1)."""
    if request.args:
        raise Refusal("invalid_request", "parameters are in the query")
    if request.mimetype != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "the body is not a form")
    return single_values(request)
