"""The layers (DESIGN 2): imports go downwards only, none hides in a function, and nothing grows past its size."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parent.parent / "gateway"
MAX_MODULE_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 45

ORDER: Final = (
    (
        "problem", "loop_problems", "limit_problems", "errors", "remembered", "whole_file", "cpus", "unforeseen",
        "telemetry",
    ),
    (
        "oidc", "oidc.retry_after",
        "oidc.messages", "oidc.jose", "oidc.keys", "oidc.jwe", "oidc.challenge", "oidc.dpop", "oidc.client",
        "oidc.metadata", "oidc.transaction", "oidc.claims_reading", "oidc.client_auth", "oidc.protected",
        "oidc.authorization_request", "oidc.authorization_response", "oidc.token_endpoint", "oidc.id_token",
        "oidc.userinfo", "oidc.introspection", "oidc.access_token", "oidc.exchange",
        "oidc.client_metadata", "oidc.registration",
        "oidc.logout", "oidc.logout_token",
        "trace_context",
        "background", "single_flight", "catalogue_files", "languages", "page_templates", "local_cache", "revocation",
        "claims", "sealing", "session", "session_events", "limits",
        "client_address", "request_context", "target", "condition", "route", "policy",
        "cookies", "landing", "loss", "headers", "request_notes",
        "log_lines", "log_requests", "log_writer", "log_places",
    ),
    (
        "config_values", "config_page_values", "config_authorization_model", "config_provider_model",
        "config_route_model", "config_console_model", "config_limits_model", "config_upstream_model",
        "config_tracing_model", "config_metrics_model", "config_logs_model", "config_session_model",
        "config_model", "config_sources",
        "config_provider", "config_upstream", "config_route", "config_sections", "config_logs", "config",
        "config_docs",
        "config_reference",
        "login_parameters", "config_text", "presets", "first_config",
        "migration", "migration.options", "migration.given", "migration.paths", "migration.report", "migration.people",
        "migration.routes", "migration.provider", "migration.rest", "migration.conversion",
    ),
    (
        "backends", "backends.base", "backends.lease", "backends.file", "backends.memory", "backends.redis_client",
        "backends.redis", "backends.memcached", "backends.mongodb", "backends.dynamodb", "backends.choice",
        "backends.told",
        "envelope", "store", "unsaved", "console", "console.tape",
        "transport_deadline", "transport", "kept", "backoff",
        "back_channel", "published", "token_service", "provider", "registrar", "token_cache", "tls",
        "upstream_pool", "upstream_body", "upstream_answer", "upstream_origin",
        "upstream_request", "websocket", "client_socket", "tunnel", "switching", "upstream",
        "tracing", "spans",
    ),
    ("token_revocation", "renewal", "authenticator", "single_logout", "administration", "upstream_tokens",
     "readiness",
     "token_questions", "bearer", "identity"),
    (
        "responses", "cors", "held_answer", "teller", "open_streams", "response_rewriting", "request_limits", "inner",
        "explanation", "reactions",
        "endpoints", "endpoints.request", "endpoints.keys",
        "console.redaction", "console.messages", "console.checks", "console.logins", "console.inspector",
        "console.actions", "console.upstream_call", "console.view", "console.diagram",
        "login_limit", "endpoints.login_failed", "endpoints.login_loop", "endpoints.login",
        "endpoints.session", "endpoints.logout", "endpoints.single_logout", "endpoints.narrowing",
        "endpoints.forward_auth",
        "endpoints.form", "endpoints.administration", "endpoints.console", "endpoints.table", "sign_in",
    ),
    (
        "metrics.tally", "metrics.families", "metrics.sink", "metrics.exposition", "metrics.listener", "metrics.place",
        "metrics.page", "metrics", "log_masking", "log_handler", "log_telemetry", "logs", "sinks", "gunicorn_log",
        "kept_answers", "failures", "shedding", "admission", "assembly", "endpoint_assembly", "app",
        "standalone",
        "lane", "lane.incoming", "lane.at_once", "lane.recollection", "lane.request_reader", "lane.request_queue",
        "lane.serving", "lane.patience", "lane.client_answer", "lane.hanging_up", "lane.inlet",
        "lane.client",
        "lane.records", "lane.tls", "lane.listening", "lane.chunks", "lane.fetching", "lane.uses",
        "lane.upstream", "lane.pool", "lane.origins", "lane.tunnel", "lane.heads", "lane.passing_body", "lane.acting",
        "lane.attempts", "lane.reacting",
        "lane.forwarding", "lane.thread_input", "lane.app_answer", "lane.gathering",
        "lane.threads", "lane.in_thread", "lane.probing", "lane.lane",
        "lane.worker", "server_environment", "draining", "tls_files", "prepared", "reloading", "gunicorn_conf",
        "devtls", "demo",
        "doctor", "doctor.finding", "doctor.waiting", "doctor.contact", "doctor.diagnoses_contact",
        "doctor.diagnoses_parts", "doctor.diagnoses_provider", "doctor.diagnoses_outside", "doctor.page",
        "doctor.contact_findings", "doctor.asking", "doctor.provider_facts", "doctor.probes", "doctor.store_facts",
        "doctor.upstream_facts", "doctor.outside_facts", "doctor.configuration_findings", "doctor.facts",
        "doctor.provider_findings", "doctor.feature_findings", "doctor.probe_findings", "doctor.store_findings",
        "doctor.outside_findings", "doctor.upstream_findings", "doctor.examination",
        "cli_failure", "cli_registration", "cli_check", "cli_init", "cli_migrate", "cli_routes", "cli_sessions",
        "cli_doctor", "cli", "cli_reference", "__main__", "gateway",
    ),
)  # fmt: skip
"""L0 to L6, each in its own order: a module imports only what stands before it. `gateway` is the package itself."""

RANK: Final = {name: number for number, name in enumerate(name for layer in ORDER for name in layer)}

SIBLINGS: Final = (
    frozenset({"oidc.authorization_response", "oidc.client_auth"}),
    frozenset({"oidc.id_token", "oidc.logout", "oidc.introspection", "oidc.exchange", "oidc.registration"}),
)
"""Modules of the protocol that stand side by side and know nothing of each other."""

ABOVE_TESTING: Final = frozenset({"demo", "cli", "__main__"})
"""The only modules that may import the fake provider."""


OF_A_GATEWAY: Final = {
    "testing.pytest_plugin": frozenset({"app", "assembly", "config"}),
    "testing.sessions": frozenset({"app", "inner", "session"}),
}
"""What is for tests of a protected app, with the modules of the gateway itself that it makes or opens one by."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "gateway"


MODULES: Final = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
LAYERED: Final = {name: path for name, path in MODULES.items() if name.split(".")[0] != "testing"}
TESTING: Final = {name: path for name, path in MODULES.items() if name.split(".")[0] == "testing"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_from_gateway(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (_own_name(alias.name) for alias in node.names if alias.name.split(".")[0] == "gateway")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import, which this test cannot read"
            if (node.module or "").split(".")[0] == "gateway":
                yield from (_imported_module(node.module or "", alias.name) for alias in node.names)


def _imported_module(module: str, name: str) -> str:
    own = _own_name(module)
    submodule = name if own == "gateway" else f"{own}.{name}"
    return submodule if submodule in MODULES else own


def _own_name(module: str) -> str:
    return module.removeprefix("gateway").lstrip(".") or "gateway"


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(tree_of(path))
    yield from (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_module_has_its_layer() -> None:
    assert set(LAYERED) == set(RANK)


@pytest.mark.parametrize("name", LAYERED)
def test_imports_go_downwards_only(name: str) -> None:
    upwards = [other for other in imported_from_gateway(LAYERED[name]) if other in RANK and RANK[other] >= RANK[name]]
    assert upwards == []


@pytest.mark.parametrize("name", [name for name in LAYERED if name.startswith("oidc.")])
def test_the_protocol_imports_nothing_of_ours_but_the_errors_and_itself(name: str) -> None:
    imported = set(imported_from_gateway(LAYERED[name]))
    assert {other for other in imported if other != "errors" and not other.startswith("oidc.")} == set()
    beside = {other for siblings in SIBLINGS if name in siblings for other in siblings}
    assert imported & beside == set()


@pytest.mark.parametrize("name", LAYERED)
def test_the_fake_provider_is_imported_by_the_demonstration_alone(name: str) -> None:
    testing = {other for other in imported_from_gateway(LAYERED[name]) if other in TESTING}
    assert testing == set() or name in ABOVE_TESTING


@pytest.mark.parametrize("name", TESTING)
def test_the_fake_provider_knows_the_protocol_and_the_errors_alone(name: str) -> None:
    imported = set(imported_from_gateway(TESTING[name])) - OF_A_GATEWAY.get(name, frozenset())
    assert {other for other in imported if other.split(".")[0] not in ("testing", "oidc", "errors")} == set()


@pytest.mark.parametrize("name", MODULES)
def test_no_import_hides_in_a_function(name: str) -> None:
    hidden = [
        node.lineno
        for function in functions_of(MODULES[name])
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


@pytest.mark.parametrize("name", MODULES)
def test_no_module_and_no_function_grows_past_its_size(name: str) -> None:
    path = MODULES[name]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    sizes = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions_of(path)}
    assert {function: size for function, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}
