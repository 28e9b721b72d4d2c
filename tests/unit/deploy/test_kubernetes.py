"""deploy/kubernetes fits the server: settings, ports, probes, times, names; and fits Kubernetes' own schemas."""

import tomllib
from dataclasses import fields
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from serving.metrics import Metrics
from serving.repository.desired_state import StateFile
from serving.rpc.health import SERVICE
from serving.settings import Settings
from serving.settings_reading import read_settings, variable
from tests.kubernetes.manifests import (
    DEPLOY,
    KUBERNETES,
    KUSTOMIZATIONS,
    NEWEST,
    OLDEST,
    OVERLAYS,
    container,
    environment,
    one,
    pod_templates,
    rendered,
)

ROOT = Path(__file__).parents[3]
UNLOAD_SECONDS = 10

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.fixture
def settings_of(monkeypatch):
    """The settings that the server in an overlay's pods would have."""

    def read(overlay: str) -> Settings:
        for name, value in environment(rendered(overlay)).items():
            monkeypatch.setenv(name, value)
        return read_settings([])

    return read


@pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)
@pytest.mark.parametrize("minor", [OLDEST, NEWEST], ids=["the oldest Kubernetes", "the newest"])
def test_each_resource_fits_the_schema_and_has_no_field_beyond_it(kustomization, minor):
    ours = [it for it in rendered(kustomization) if not it["apiVersion"].startswith("monitoring.coreos.com/")]
    for it in ours:
        kubernetes_validate.validate(it, f"1.{minor}", strict=True)


@overlays
def test_each_variable_is_a_setting_of_the_server(overlay):
    assert set(environment(rendered(overlay))) <= {variable(one.name) for one in fields(Settings)}


@overlays
def test_the_server_listens_for_other_machines_where_pod_service_policy_and_probes_say(overlay, settings_of):
    settings = settings_of(overlay)
    resources = rendered(overlay)
    ports = {"grpc": settings.port, "metrics": settings.metrics_port}
    server = container(resources)
    assert settings.host == "0.0.0.0"  # noqa: S104
    assert {port["name"]: port["containerPort"] for port in server["ports"]} == ports
    assert {port["targetPort"]: port["port"] for port in one(resources, "Service")["spec"]["ports"]} == ports
    rules = one(resources, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == list(ports)
    probes = [server[name]["grpc"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["port"] for probe in probes] == [settings.port] * 3


@overlays
def test_a_pod_is_ready_by_the_servers_health_and_alive_by_that_of_the_health_service(overlay):
    server = container(rendered(overlay))
    assert server["readinessProbe"]["grpc"]["service"] == ""
    assert server["livenessProbe"]["grpc"]["service"] == server["startupProbe"]["grpc"]["service"] == SERVICE


@overlays
def test_the_grace_period_holds_pre_stop_lame_duck_drain_and_unloading(overlay, settings_of):
    settings = settings_of(overlay)
    before = container(rendered(overlay))["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod_templates(rendered(overlay))["Deployment"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= before + settings.lame_duck_seconds + settings.drain_seconds + UNLOAD_SECONDS


@overlays
def test_models_and_state_are_mounted_read_only_where_the_settings_say_and_nothing_is_written_there(
    overlay, settings_of
):
    settings = settings_of(overlay)
    mounts = {mount["mountPath"]: mount for mount in container(rendered(overlay))["volumeMounts"]}
    assert mounts[str(settings.models)]["readOnly"]
    assert mounts[str(settings.state)]["readOnly"]
    assert not settings.allow_control


def test_the_state_that_is_mounted_is_one_that_the_server_reads():
    assert StateFile(KUBERNETES / "base").read().models == {}


@overlays
def test_the_state_keeps_its_name_so_that_a_change_starts_no_pod_anew(overlay):
    (mounted,) = [
        it["configMap"]["name"]
        for it in pod_templates(rendered(overlay))["Deployment"]["spec"]["volumes"]
        if "configMap" in it
    ]
    assert mounted == "signet-state"
    assert set(one(rendered(overlay), "ConfigMap", "signet-state")["data"]) == {"desired_state.json"}


def test_the_gpu_overlay_asks_for_a_gpu_and_refuses_to_go_without(settings_of):
    resources = rendered("overlays/gpu")
    assert container(resources)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert settings_of("overlays/gpu").providers == "cuda"


def test_the_cpu_overlay_asks_for_none():
    assert "nvidia.com/gpu" not in container(rendered("overlays/cpu"))["resources"]["limits"]


@pytest.mark.parametrize(
    ("kustomization", "image", "suffix"),
    [("overlays/cpu", "signet", ""), ("overlays/gpu", "signet", "-cuda"), ("training", "signet-trainer", "")],
)
def test_images_have_the_version_of_this_source(kustomization, image, suffix):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for template in pod_templates(rendered(kustomization)).values():
        assert [it["image"] for it in template["spec"]["containers"]] == [f"{image}:{version}{suffix}"]


def test_with_tls_each_probe_asks_the_metrics_port_since_the_kubelet_has_no_tls(settings_of):
    with_tls = "overlays/cpu + components/tls"
    server = container(rendered(with_tls))
    asked = {name: server[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["httpGet"]["path"] for name, probe in asked.items()} == {
        "startup": "/metrics",
        "readiness": "/healthz",
        "liveness": "/metrics",
    }
    assert {probe["httpGet"]["port"] for probe in asked.values()} == {"metrics"}
    assert not any("grpc" in probe for probe in asked.values())
    settings = settings_of(with_tls)
    (mount,) = [mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] == "tls"]
    assert (str(settings.tls_certificate), str(settings.tls_key)) == (f"{mount}/tls.crt", f"{mount}/tls.key")


def test_models_of_an_image_are_copied_before_the_server_starts_and_need_no_claim():
    resources = rendered("overlays/cpu + components/models_image")
    assert [it for it in resources if it["kind"] == "PersistentVolumeClaim"] == []
    pod = pod_templates(resources)["Deployment"]["spec"]
    (copying,) = pod["initContainers"]
    assert copying["command"] == ["cp", "-R", "/models/.", f"{copying['volumeMounts'][0]['mountPath']}/"]
    assert {"name": "models", "emptyDir": {}} in pod["volumes"]
    assert copying["securityContext"] == container(resources)["securityContext"]


@pytest.mark.parametrize("kustomization", [*OVERLAYS, "training"])
def test_pods_are_restricted_hold_no_token_and_can_write_to_volumes_alone(kustomization):
    for template in pod_templates(rendered(kustomization)).values():
        pod = template["spec"]
        (only,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "/tmp" in [mount["mountPath"] for mount in only["volumeMounts"]]  # noqa: S108
        assert {mount["name"] for mount in only["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("kustomization", [*OVERLAYS, "training"])
def test_no_service_can_set_a_setting_by_its_name(kustomization):
    assert [it["spec"]["enableServiceLinks"] for it in pod_templates(rendered(kustomization)).values()].count(True) == 0


@overlays
def test_what_selects_pods_selects_those_of_the_deployment(overlay):
    resources = rendered(overlay)
    labels = pod_templates(resources)["Deployment"]["metadata"]["labels"]
    selectors = [
        one(resources, "Deployment")["spec"]["selector"]["matchLabels"],
        one(resources, "Service")["spec"]["selector"],
        one(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(
            it["labelSelector"]["matchLabels"]
            for it in pod_templates(resources)["Deployment"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert [selector for selector in selectors if not selector or not selector.items() <= labels.items()] == []
    target = one(resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", one(resources, "Deployment")["metadata"]["name"])


@overlays
def test_the_autoscaler_asks_for_a_metric_that_the_server_has_and_the_adapter_passes_on(overlay):
    (asked,) = one(rendered(overlay), "HorizontalPodAutoscaler")["spec"]["metrics"]
    values = yaml.safe_load((KUBERNETES / "monitoring" / "adapter_values.yaml").read_text("utf-8"))
    passed_on = {rule["name"]["as"]: rule["seriesQuery"].partition("{")[0] for rule in values["rules"]["custom"]}
    exposed = {family.name for family in Metrics().registry.collect()}
    assert set(passed_on.values()) <= exposed
    assert asked["pods"]["metric"]["name"] in passed_on


@overlays
def test_what_is_scraped_is_the_job_that_the_rules_look_for(overlay):
    service = one(rendered(overlay), "Service")
    monitor = one(rendered("monitoring"), "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "signet"
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["metrics"]


def test_the_operators_rules_are_those_of_the_rule_files():
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    assert one(rendered("monitoring"), "PrometheusRule")["spec"]["groups"] == groups, "`make k8s-rules` renews them"


def test_training_trains_tasks_that_there_are_into_the_servers_claim():
    templates = pod_templates(rendered("training"))
    (job,) = templates["Job"]["spec"]["containers"]
    (again,) = templates["CronJob"]["spec"]["containers"]
    tasks = {path.stem for path in (ROOT / "training" / "tasks").glob("*.py")} - {"__init__"}
    assert set(job["args"]) <= tasks
    assert again["command"][0] == "signet-train"
    assert again["command"][1] in tasks
    claim = one(rendered("overlays/cpu"), "PersistentVolumeClaim")["metadata"]["name"]
    for template in templates.values():
        volumes = {it["name"]: it for it in template["spec"]["volumes"]}
        assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim
        (only,) = template["spec"]["containers"]
        assert {"name": "models", "mountPath": "/models"} in only["volumeMounts"]
