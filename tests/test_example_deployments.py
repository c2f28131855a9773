"""The examples for Compose, Kubernetes and systemd: held to their schemas, and to what a hardened deployment needs."""

import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from supply_tools import tool

from gateway.config import load_standalone_settings

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLES: Final = ROOT / "examples"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((EXAMPLES / "compose/compose.yaml").read_text(encoding="utf-8"))
KUBERNETES: Final[list[dict[str, Any]]] = list(
    yaml.safe_load_all((EXAMPLES / "kubernetes/gateway.yaml").read_text(encoding="utf-8"))
)
KUSTOMIZATION: Final[dict[str, Any]] = yaml.safe_load(
    (EXAMPLES / "kubernetes/kustomization.yaml").read_text(encoding="utf-8")
)
GATEWAYS: Final = ("gateway-1", "gateway-2")


def secrets_in(directory: Path, names: list[str]) -> str:
    """Write what an operator would, by the names that the example mounts."""
    for name in names:
        value = "rediss://redis:6379/0" if name.endswith("url") else "thirty-two characters are enough"
        (directory / name).write_text(value)
    return str(directory)


def passes(*argv: str) -> bool:
    done = subprocess.run([str(tool(argv[0])), *argv[1:]], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


@pytest.mark.real("supply")
def test_compose_fits_its_schema_and_a_misspelt_key_does_not(tmp_path: Path) -> None:
    file = EXAMPLES / "compose/compose.yaml"
    check = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    assert passes(*check, str(file))
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(file.read_text(encoding="utf-8").replace("read_only: true", "readonly: true"))
    assert not passes(*check, str(wrong))


@pytest.mark.real("supply")
def test_kubernetes_takes_every_object_and_no_misspelt_key(tmp_path: Path) -> None:
    file = EXAMPLES / "kubernetes/gateway.yaml"
    assert passes("kubernetes-validate", "--strict", str(file))
    wrong = tmp_path / "gateway.yaml"
    wrong.write_text(file.read_text(encoding="utf-8").replace("readOnlyRootFilesystem", "readOnlyRoot"))
    assert not passes("kubernetes-validate", "--strict", str(wrong))


def test_compose_configures_by_keys_that_exist(tmp_path: Path) -> None:
    service = COMPOSE["services"]["gateway-1"]
    environ = {**service["environment"], "GATEWAY_SECRETS_DIR": secrets_in(tmp_path, service["secrets"])}
    settings = load_standalone_settings(str(ROOT / "tests/corpus/empty.yaml"), environ)
    assert (settings.store.type, settings.trusted_hops) == ("redis", 1)


@pytest.mark.parametrize("name", GATEWAYS)
def test_each_gateway_of_compose_can_do_no_more_than_it_has_to(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"]
    assert "ports" not in service


def test_nobody_but_the_gateways_reaches_the_app_and_the_sessions() -> None:
    services = COMPOSE["services"]
    for network, inside in (("back", "app"), ("store", "redis")):
        assert COMPOSE["networks"][network]["internal"] is True
        assert sorted(name for name, one in services.items() if network in one["networks"]) == sorted(
            [inside, *GATEWAYS]
        )
        assert services[inside]["networks"] == [network]
        assert "ports" not in services[inside]


def test_the_pods_can_do_no_more_than_they_have_to() -> None:
    (deployment,) = [one for one in KUBERNETES if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_one_pod_stays_and_only_pods_of_ours_reach_the_app() -> None:
    by_kind = {one["kind"]: one for one in KUBERNETES}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    budget = by_kind["PodDisruptionBudget"]["spec"]
    assert budget["selector"]["matchLabels"] == by_kind["Service"]["spec"]["selector"] == labels
    assert budget["minAvailable"] < by_kind["Deployment"]["spec"]["replicas"]
    (rule,) = policy("dashboard")["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]


def policy(name: str) -> dict[str, Any]:
    (found,) = [one for one in KUBERNETES if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == name]
    return dict(found["spec"])


def test_the_metrics_of_the_pods_are_for_the_monitoring_alone() -> None:
    (deployment,) = [one for one in KUBERNETES if one["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    listen = {one["name"]: one["value"] for one in container["env"]}["GATEWAY_METRICS__LISTEN"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert listen == f"0.0.0.0:{ports['metrics']}"
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    public, watched = policy("gateway")["ingress"]
    assert public == {"ports": [{"port": ports["http"]}]}
    assert watched["ports"] == [{"port": ports["metrics"]}]
    (monitoring,) = watched["from"]
    assert monitoring == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert policy("gateway")["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    (service,) = [one for one in KUBERNETES if one["kind"] == "Service"]
    assert [one["targetPort"] for one in service["spec"]["ports"]] == ["http"]


def test_prometheus_of_compose_asks_every_gateway_on_a_network_of_its_own() -> None:
    asks = yaml.safe_load((EXAMPLES / "compose/prometheus.yml").read_text(encoding="utf-8"))
    ((scrape,), (targets,)) = asks["scrape_configs"], asks["scrape_configs"][0]["static_configs"]
    port = COMPOSE["services"]["gateway-1"]["environment"]["GATEWAY_METRICS__LISTEN"].rpartition(":")[2]
    assert scrape["job_name"] == "gateway"
    assert targets["targets"] == [f"{name}:{port}" for name in GATEWAYS]
    assert COMPOSE["networks"]["monitoring"]["internal"] is True
    assert COMPOSE["services"]["prometheus"]["networks"] == ["monitoring"]
    within = [name for name, one in COMPOSE["services"].items() if "monitoring" in one["networks"]]
    assert sorted(within) == [*GATEWAYS, "prometheus"]


def test_the_secret_is_made_of_files_and_no_example_holds_one() -> None:
    (secret,) = KUSTOMIZATION["secretGenerator"]
    (deployment,) = [one for one in KUBERNETES if one["kind"] == "Deployment"]
    assert secret["name"] in [
        one["secret"]["secretName"] for one in deployment["spec"]["template"]["spec"]["volumes"] if "secret" in one
    ]
    assert not [one for one in KUBERNETES if one["kind"] == "Secret"]
