"""How the clients reach a real server: TLS, tokens, compression, keep-alive, several connections, several addresses."""

import asyncio
import signal
import sys

import numpy as np
import pytest
import trustme

from serving.client import AsyncClient, Client, Tls
from serving.client.__main__ import main
from serving.errors import Unavailable
from serving.rpc.transport import CAPABILITIES
from tests import tiny_models as tiny
from tests.contract.serving_workers import two_workers
from tests.running_server import running_server

ROW = np.array([1, 0, 0])


def ask_with_threads(address, **options):
    with Client(address, timeout_seconds=10, **options) as client:
        return client.predict("letters", ROW).predictions[0].label


def ask_with_asyncio(address, **options):
    async def ask():
        async with AsyncClient(address, timeout_seconds=10, **options) as client:
            return (await client.predict("letters", ROW)).predictions[0].label

    return asyncio.run(ask())


@pytest.fixture(params=[ask_with_threads, ask_with_asyncio], ids=["threads", "asyncio"])
def ask(request):
    return request.param


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    tiny.put_bare(root, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    tiny.put_bare(root, "same", tiny.identity_model())
    return root


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """The folder of an authority's certificate, and of a server's and a client's that it vouches for."""
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    for name in ("localhost", "client.example"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(folder / f"{name}.key.pem")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


@pytest.fixture
def tls_server(models, pem, transport):
    """Serves over TLS with more settings."""
    if not CAPABILITIES[transport].tls:
        pytest.skip(f"{transport} has no TLS, and says so: see the tests of refusals")

    def serve(**settings):
        certificate, key = pem / "localhost.pem", pem / "localhost.key.pem"
        return running_server(models, tls_certificate=certificate, tls_key=key, **settings)

    return serve


def test_a_server_is_vouched_for_by_the_certificates_given(tls_server, pem, ask):
    with tls_server() as server:
        address = f"localhost:{server.port}"
        assert ask(address, tls=Tls(pem / "ca.pem")) == "a"
        assert ask(address, tls=Tls((pem / "ca.pem").read_bytes()), token="secret") == "a"  # noqa: S106
        assert ask(f"127.0.0.1:{server.port}", tls=Tls(pem / "ca.pem", server_name="localhost")) == "a"


def test_a_server_that_nobody_vouches_for_is_unavailable(tls_server, pem):
    with (
        tls_server() as server,
        Client(f"localhost:{server.port}", tls=Tls(pem / "stranger.pem")) as client,
        pytest.raises(Unavailable),
    ):
        client.models(timeout_seconds=1)


def test_a_client_shows_its_certificate(tls_server, pem, ask):
    with tls_server(tls_client_ca=pem / "ca.pem") as server:
        shown = Tls(pem / "ca.pem", pem / "client.example.pem", pem / "client.example.key.pem")
        assert ask(f"localhost:{server.port}", tls=shown, connections=2) == "a"


def signet(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["signet", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    return (ended.value.code, *capsys.readouterr())


@pytest.mark.parametrize(
    "command",
    [
        ("health", "letters"),
        ("models", "list"),
        ("labels", "letters"),
        ("load-test", "letters", "--rate", "20", "--seconds", "0.5"),
        ("conformance", "--model", "same"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_takes_the_flags_of_tls(tls_server, pem, monkeypatch, capsys, command):
    with tls_server(tls_client_ca=pem / "ca.pem") as server:
        server_flags = ("--address", f"localhost:{server.port}", "--ca", pem / "ca.pem", "--token", "secret")
        client_flags = ("--cert", pem / "client.example.pem", "--key", pem / "client.example.key.pem")
        code, output, errors = signet(monkeypatch, capsys, *command, *server_flags, *client_flags)
        assert (code, "signet: " in errors) == (0, False)
        assert output


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--cert", "a.pem"), "signet: tls: a certificate and its key were expected; one came without the other"),
        (("--ca", "none.pem"), "signet: tls: ca none.pem: cannot be read: No such file or directory"),
        (("--address", "example.com:1"), "signet: token: it would travel readable to example.com:1; TLS was expected"),
    ],
    ids=["no key", "no file", "a token for everyone"],
)
def test_flags_that_do_not_go_together_are_refused_in_a_line(monkeypatch, capsys, flags, text):
    monkeypatch.setenv("SIGNET_TOKEN", "secret")
    code, output, errors = signet(monkeypatch, capsys, "health", *flags)
    assert (code, output) == (1, "")
    assert errors.startswith(text)
    assert errors.count("\n") == 1
    assert "secret" not in errors


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_requests_go_compressed(models, transport, ask, compression):
    if not CAPABILITIES[transport].compression:
        pytest.skip(f"{transport} has no compression")
    with running_server(models) as server:
        assert ask(f"127.0.0.1:{server.port}", compression=compression) == "a"


def test_a_connection_that_is_tested_stays(models, ask):
    with running_server(models) as server:
        assert ask(f"127.0.0.1:{server.port}", keep_alive_seconds=10) == "a"


def test_several_connections_reach_several_workers(models):
    with two_workers(models, "--access-log", "all") as workers:
        with Client(f"127.0.0.1:{workers.port}", connections=16) as client:
            for _ in range(16):
                client.predict("letters", {"x": np.eye(3, dtype=np.float32)})
        workers.process.send_signal(signal.SIGTERM)
        assert workers.process.wait(30) == 0
        answered = [line["worker"] for line in workers.rest() if line["event"] == "request"]
    assert len(answered) == 16
    assert set(answered) == {1, 2}


def versions_with_threads(address, calls):
    with Client(address, round_robin=True) as client:
        return [client.predict("letters", ROW).version for _ in range(calls)]


def versions_with_asyncio(address, calls):
    async def ask():
        async with AsyncClient(address, round_robin=True) as client:
            return [(await client.predict("letters", ROW)).version for _ in range(calls)]

    return asyncio.run(ask())


@pytest.mark.parametrize("versions", [versions_with_threads, versions_with_asyncio], ids=["threads", "asyncio"])
def test_calls_take_the_addresses_of_a_name_in_turn(models, tmp_path, versions):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"], version=2)
    with running_server(models) as first, running_server(tmp_path) as second:
        # What a name of two addresses resolves to; a test has no such name.
        answered = versions(f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}", 100)
    assert 25 <= answered.count(2) <= 75
