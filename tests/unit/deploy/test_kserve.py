"""deploy/kserve fits the server and itself."""

import pytest

from serving.rpc.health import SERVICE
from serving.settings_reading import read_settings
from tests.kubernetes.manifests import container as deployed
from tests.kubernetes.manifests import kserve, one, rendered

MOUNT = "/mnt/models"
"""Where KServe lays what storageUri holds; storageUris may name folders below it."""


@pytest.fixture
def runtime():
    return one(kserve(), "ClusterServingRuntime")


@pytest.fixture
def container(runtime):
    (only,) = runtime["spec"]["containers"]
    return only


def services():
    return [it for it in kserve() if it["kind"] == "InferenceService"]


def test_the_container_is_the_one_that_kserve_looks_for_with_the_image_of_the_deployment(container):
    assert container["name"] == "kserve-container"
    assert container["image"] == deployed(rendered("overlays/cpu"))["image"]


def test_each_argument_is_a_flag_of_the_server_and_the_ports_are_those_of_pod_probes_and_scrape(runtime, container):
    settings = read_settings(container["args"])
    assert str(settings.models) == MOUNT
    assert settings.host == "0.0.0.0"  # noqa: S104
    # Knative takes one port, and its name says that it is HTTP/2.
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("h2c", settings.port)]
    assert container["readinessProbe"]["grpc"] == {"port": settings.port, "service": ""}
    assert container["livenessProbe"]["grpc"] == {"port": settings.port, "service": SERVICE}
    assert runtime["spec"]["annotations"]["prometheus.kserve.io/port"] == str(settings.metrics_port)


def test_the_server_has_ended_before_kubernetes_default_grace_is_over(container):
    settings = read_settings(container["args"])
    assert settings.lame_duck_seconds + settings.drain_seconds < 30


@pytest.mark.parametrize("service", services(), ids=lambda it: it["metadata"]["name"])
def test_a_service_asks_for_a_format_and_a_protocol_of_the_runtime_and_no_link_variables(service, runtime):
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    formats = [(it["name"], it["version"]) for it in runtime["spec"]["supportedModelFormats"]]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert predictor["enableServiceLinks"] is False


def test_a_claim_is_the_deployments_and_a_bucket_is_laid_in_the_folder_of_its_model():
    whole, single = (it["spec"]["predictor"] for it in services())
    claim = one(rendered("overlays/cpu"), "PersistentVolumeClaim")["metadata"]["name"]
    assert whole["model"]["storageUri"] == f"pvc://{claim}"
    (storage,) = single["storageUris"]
    assert storage["mountPath"] == f"{MOUNT}/{services()[1]['metadata']['name']}"
    assert storage["uri"].endswith(f"/{services()[1]['metadata']['name']}")
