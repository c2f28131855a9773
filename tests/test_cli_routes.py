"""gateway routes explain: what the rules would do with a request, and why."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner, Result
from harness import base_config

from gateway.cli import main

ROUTES: Final[list[dict[str, Any]]] = [
    {"path": "/public/**", "access": "public"},
    {"path": "/api/**", "methods": ["GET"], "strip_prefix": "/api", "add_prefix": "/v2"},
    {"path": "/admin", "require": {"claims": {"groups": ["staff"]}}},
    {"path": "/tenant/**", "hosts": ["*.apps.example"], "access": "deny"},
    {"path": "/keyed", "request_headers": {"X-Key": "hunter2", "X-Sub": "{sub}"}},
    {"path": "/strong", "require": {"acr": ["gold"]}},
    {"path": "/hidden", "access": "deny"},
]
STAFF: Final = {"sub": "alice", "groups": ["staff"], "email": "alice@op.example"}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    document = {**base_config({"type": "memory"}), "upstream": "http://127.0.0.1:3000", "routes": ROUTES}
    path.write_text(yaml.safe_dump(document))
    return str(path)


def explain(config: str, *arguments: str, claims: object = None) -> Result:
    options = [] if claims is None else ["--claims", "-"]
    text = claims if isinstance(claims, str) else json.dumps(claims)
    return CliRunner().invoke(main, ["routes", "explain", "--config", config, *options, *arguments], input=text)


@pytest.mark.parametrize(
    ("arguments", "claims", "lines"),
    [
        pytest.param(
            ["GET", "/public/a"], None,
            ["rule 1, /public/**: fits; access public", "nobody who is signed in: allowed"], id="public",
        ),
        pytest.param(
            ["GET", "/api/x?y"], STAFF,
            [
                "rule 1, /public/**: does not fit: the path", "signed in as alice: allowed",
                "goes to http://127.0.0.1:3000", "as /v2/x", "x-forwarded-user: alice", "x-forwarded-groups: staff",
                "authorization: Bearer <access token>",
            ],
            id="signed in",
        ),
        pytest.param(
            ["POST", "/api/x"], None,
            ["rule 2, /api/**: does not fit: the method, which is not of GET", "no rule fits: login required"],
            id="another method",
        ),
        pytest.param(
            ["GET", "/tenant/a"], None, ["rule 4, /tenant/**: does not fit: the host, which is not of *.apps.example"],
            id="another host",
        ),
        pytest.param(
            ["GET", "https://one.apps.example/tenant/a"], None, ["rule 4, /tenant/**: fits", "(404) because"], id="host"
        ),
        pytest.param(["GET", "/x"], None, ["sent to the login, or 401", "[login_required]"], id="login"),
        pytest.param(
            ["GET", "/admin"], {"sub": "bob"}, ["refused (403) because lacks claim groups [access_denied]"],
            id="refused",
        ),
        pytest.param(
            ["GET", "/ADMIN"], {"sub": "bob"},
            ["no rule fits", "and /admin, as a lenient upstream would read the path", "refused (403)"], id="lenient",
        ),
        pytest.param(["GET", "/strong"], STAFF, ["asked to sign in once more [step_up_required]"], id="step up"),
        pytest.param(["GET", "/hidden"], STAFF, ["as if there was nothing (404)", "[not_found]"], id="denied"),
        pytest.param(["GET", "/keyed"], STAFF, ["x-key: <as configured>", "x-sub: alice"], id="a static key"),
    ],
)  # fmt: skip
def test_explanations(config: str, arguments: list[str], claims: object, lines: list[str]) -> None:
    result = explain(config, *arguments, claims=claims)
    assert result.exit_code == 0, result.output
    for line in lines:
        assert line in result.output
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "claims", "code", "message"),
    [
        pytest.param(["GET", "/a/../b"], None, 1, "refused: target_ambiguous", id="a target that is refused"),
        pytest.param(["TRACE", "/a"], None, 1, "refused: method_refused", id="a method that is refused"),
        pytest.param(["GET", "https://a b/"], None, 1, "refused: host_invalid", id="a host that is refused"),
        pytest.param(["GET", "/a"], "[]", 2, "is not a JSON object", id="claims that are none"),
        pytest.param(["GET", "/a"], "{", 2, "-: ", id="claims that are no JSON"),
        pytest.param(["GET", "/a", "--claims", "/absent"], None, 2, "No such file", id="claims that are not there"),
        pytest.param(["GET", "/a", "--provider", "x"], None, 2, "x is not among the providers", id="no provider"),
    ],
)
def test_what_cannot_be_explained(config: str, arguments: list[str], claims: object, code: int, message: str) -> None:
    result = explain(config, *arguments, claims=claims)
    assert result.exit_code == code, result.output
    assert message in result.output
