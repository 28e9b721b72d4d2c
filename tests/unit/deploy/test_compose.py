"""deploy/compose.yaml, the images, HAProxy and Prometheus agree with each other and with the server's settings.

What `make compose-test` runs for real is here held to the code, without containers.
"""

import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from serving.settings import Settings
from serving.settings_reading import read_settings, variable

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
SERVERS = ("serve-1", "serve-2")
DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
DEFAULTS = read_settings([])
OF_CLIENT_AND_TRAINER = {"SIGNET_ADDRESS", "SIGNET_TOKEN", "SIGNET_CACHE"}


def default(value: object) -> str:
    """What compose makes of a value if its variable is not set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value))


@pytest.fixture
def served_with(monkeypatch) -> Settings:
    """The settings of a server in its container."""
    for name, value in SERVICES["serve-1"]["environment"].items():
        monkeypatch.setenv(name, default(value))
    return read_settings([])


def seconds(text: str) -> float:
    number, unit = re.findall(r"^([\d.]+)(ms|s|m|h)$", text)[0]
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def told(pattern: str) -> str:
    match = re.search(pattern, HAPROXY, re.MULTILINE)
    assert match, pattern
    return match[1]


@pytest.mark.parametrize("path", [DEPLOY / "compose.yaml", *DOCKERFILES], ids=lambda path: path.name)
def test_every_variable_is_a_setting(path):
    named = set(re.findall(r"\bSIGNET_[A-Z_]+[A-Z]\b", path.read_text("utf-8"))) - OF_CLIENT_AND_TRAINER
    assert set(named) <= {variable(one.name) for one in fields(Settings)}


def test_the_servers_are_alike():
    assert SERVICES["serve-1"] == SERVICES["serve-2"]


def test_the_servers_settings_are_valid(served_with):
    assert served_with.state == Path("/state")


def test_the_images_health_check_and_ports_are_those_of_the_settings():
    dockerfile = (DEPLOY / "docker" / "server.Dockerfile").read_text("utf-8")
    assert f"EXPOSE {DEFAULTS.port} {DEFAULTS.metrics_port}\n" in dockerfile


def test_the_balancer_knows_the_servers_by_their_names_and_port():
    found = re.findall(r"^ +server (\S+) (\S+)$", HAPROXY, re.MULTILINE)
    assert found == [(server, f"{server}:{DEFAULTS.port}") for server in SERVERS]


def test_prometheus_asks_every_server_and_the_balancer():
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in PROMETHEUS["scrape_configs"]}
    assert targets["signet"] == [f"{server}:{DEFAULTS.metrics_port}" for server in SERVERS]
    assert targets["haproxy"] == ["balance:" + told(r"^frontend metrics\n +bind :(\d+)")]


def test_the_ports_that_are_published_are_listened_on():
    assert SERVICES["balance"]["ports"][0].endswith(":" + told(r"^frontend grpc\n +bind :(\d+)"))
    assert DEFAULTS.port == int(told(r"^frontend grpc\n +bind :(\d+)"))


def test_every_port_is_published_to_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_write_nor_gain_rights(service):
    one = SERVICES[service]
    assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
    assert one["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_mounts_from_here_is_here_and_read_only(service):
    mounts = [mount.split(":") for mount in SERVICES[service]["volumes"] if mount.startswith(".")]
    assert [source for source, *_ in mounts if not (DEPLOY / source).exists()] == []
    assert [mode for _, _, mode in mounts] == ["ro"] * len(mounts)


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_a_version_or_is_built_here(service):
    one = SERVICES[service]
    assert "build" in one or re.fullmatch(r"[\w/-]+:v?\d[\w.-]+", one["image"])


def test_a_server_that_drains_is_left_alone_before_it_refuses(served_with):
    wait, fall = seconds(told(r"default-server .*\binter (\S+)")), int(told(r"default-server .*\bfall (\d+)"))
    check = seconds(told(r"timeout check (\S+)"))
    faster = seconds(told(r"default-server .*\bfastinter (\S+)"))
    assert wait + check + (fall - 1) * (faster + check) < served_with.lame_duck_seconds


def test_containers_wait_until_a_server_has_drained(served_with):
    drained = served_with.lame_duck_seconds + served_with.drain_seconds
    assert seconds(SERVICES["serve-1"]["stop_grace_period"]) > drained
    assert seconds(SERVICES["balance"]["stop_grace_period"]) > seconds(told(r"hard-stop-after (\S+)"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_labelled_with_the_version_of_the_package(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    dockerfile = path.read_text("utf-8")
    assert re.findall(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE) == [project["version"]]
    assert f'image.licenses="{project["license"]}"' in dockerfile


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_does_not_run_as_root(path):
    last = path.read_text("utf-8").rsplit("FROM ", 1)[1]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_compose_hands_on_the_arguments_that_a_build_takes(path):
    (arguments,) = {
        tuple(sorted(service["build"]["args"]))
        for service in SERVICES.values()
        if service.get("build", {}).get("dockerfile") == str(path.relative_to(ROOT))
    }
    taken = set(re.findall(r"^ARG (\w+)", path.read_text("utf-8"), re.MULTILINE))
    assert taken - set(arguments) == {"PROVIDER", "VERSION"} & taken
    assert set(arguments) <= taken


def test_what_a_build_copies_is_let_in_by_dockerignore():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {
        source
        for path in DOCKERFILES
        for line in re.findall(r"^COPY (?!--from)(.*)$", path.read_text("utf-8"), re.MULTILINE)
        for source in shlex.split(line)[:-1]
    }
    assert {source for source in copied if source not in let_in and str(Path(source).parent) not in let_in} == set()
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_tasks_that_the_trainer_trains_are_there():
    dockerfile = (DEPLOY / "docker" / "trainer.Dockerfile").read_text("utf-8")
    (tasks,) = re.findall(r"^CMD \[(.*)\]$", dockerfile, re.MULTILINE)
    assert [name for name in re.findall(r"\w+", tasks) if not (ROOT / f"training/tasks/{name}.py").is_file()] == []
