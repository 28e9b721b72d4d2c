"""What a transport can do works; what it cannot do is refused at the start, with what to do instead."""

import grpc
import numpy as np
import pytest
import trustme

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.contract.requests import letters
from tests.contract.serving_process import run_to_end
from tests.running_server import running_server

FREE_PORTS = ("--port", "0", "--metrics-port", "0")
ROWS = np.eye(3, dtype=np.float32)


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path / "models", "letters", tiny.linear_model(), labels=["a", "b", "c"])
    return tmp_path / "models"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority, tmp_path_factory):
    """The settings of a server with a certificate for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "certificate.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return {"tls_certificate": folder / "certificate.pem", "tls_key": folder / "key.pem"}


@pytest.fixture
def needs(transport):
    """Skips a test on a transport that cannot do what it is about."""

    def check(capability: str) -> None:
        if not getattr(CAPABILITIES[transport], capability):
            pytest.skip(f"{transport} has no {capability}, and says so: see the tests of refusals")

    return check


def ask(channel: grpc.Channel) -> str:
    with channel:
        return PredictionStub(channel).Predict(letters(ROWS), timeout=10).predictions[0].label


def test_calls_go_through_tls(models, tls, authority, needs):
    needs("tls")
    with running_server(models, **tls) as server:
        trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        assert ask(grpc.secure_channel(f"localhost:{server.port}", trusted)) == "a"
        with pytest.raises(grpc.RpcError) as refused:
            ask(grpc.insecure_channel(f"localhost:{server.port}"))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_client_without_a_certificate_is_turned_away_where_one_is_asked_for(models, tls, authority, needs):
    needs("tls")
    client = authority.issue_cert("client.example")
    with running_server(models, **tls, tls_client_ca=tls["tls_key"].with_name("ca.pem")) as server:
        known = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(), client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
        )
        assert ask(grpc.secure_channel(f"localhost:{server.port}", known)) == "a"
        unknown = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        with pytest.raises(grpc.RpcError) as refused:
            ask(grpc.secure_channel(f"localhost:{server.port}", unknown))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("setting", [{"compression": "gzip"}, {"max_connection_age_seconds": 0.2}])
def test_answers_come_compressed_and_over_connections_that_age(models, setting, needs):
    needs("compression" if "compression" in setting else "connection_age")
    with running_server(models, **setting) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = PredictionStub(channel)
        for _ in range(40):
            assert stub.Predict(letters(ROWS), timeout=10, wait_for_ready=True).predictions[0].label == "a"


def test_tls_that_a_transport_lacks_is_refused_at_the_start(models, tls, transport):
    if CAPABILITIES[transport].tls:
        pytest.skip(f"{transport} has TLS")
    flags = [f"--{name.replace('_', '-')}={path}" for name, path in tls.items()]
    ended = run_to_end("--models", str(models), *FREE_PORTS, *flags)
    assert ended.returncode == 1
    assert f"tls_certificate: transport {transport} has no TLS; ask for transport aio" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("flag", "name"), [("--compression=gzip", "compression"), ("--max-connection-age-seconds=9", "")]
)
def test_other_features_that_a_transport_lacks_are_refused_at_the_start(models, transport, flag, name):
    if CAPABILITIES[transport].compression:
        pytest.skip(f"{transport} has both")
    ended = run_to_end("--models", str(models), *FREE_PORTS, flag)
    assert ended.returncode == 1
    assert f"signet-serve: {name or 'max_connection_age_seconds'}: transport {transport}" in ended.stderr
    assert "ask for transport aio" in ended.stderr


def test_auto_takes_a_transport_that_can_do_what_is_asked_for(models, tls, authority):
    with running_server(models, transport="auto") as server:
        assert ask(grpc.insecure_channel(f"127.0.0.1:{server.port}")) == "a"
    with running_server(models, transport="auto", **tls) as server:
        trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        assert ask(grpc.secure_channel(f"localhost:{server.port}", trusted)) == "a"


@pytest.mark.parametrize(
    ("certificate", "key", "text"),
    [
        pytest.param("nowhere.pem", "key.pem", "tls_certificate: ", id="a file that is not there"),
        pytest.param("certificate.pem", "certificate.pem", "are no certificate and its key", id="a key that is none"),
        pytest.param("certificate.pem", "", "one came without the other", id="no key"),
    ],
)
def test_certificates_that_do_not_fit_are_refused_at_the_start(models, tls, certificate, key, text):
    folder = tls["tls_key"].parent
    flags = [f"--tls-certificate={folder / certificate}"] + ([f"--tls-key={folder / key}"] if key else [])
    ended = run_to_end("--models", str(models), *FREE_PORTS, "--transport=aio", *flags)
    assert ended.returncode in {1, 2}
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr
