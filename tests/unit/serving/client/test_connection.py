"""What a connection may be, said before anything is sent."""

import pytest

from serving.client import Client, Tls
from serving.client.connection import Connection
from serving.errors import InvalidInput


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connections": 0}, "connections: 0 came; 1 to 128 was expected"),
        ({"compression": "zip"}, "compression: 'zip' came; one of none, deflate, gzip was expected"),
        ({"keep_alive_seconds": 0.1}, r"keep_alive_seconds: 0\.1 came; 10 or more was expected"),
        ({"token": "two words"}, "token: a letter came that no header holds"),
        ({"tls": Tls(ca="nowhere.pem")}, r"tls: ca nowhere\.pem: cannot be read: No such file"),
        ({"tls": Tls(ca=b"text")}, "tls: ca: the bytes that came hold no certificate in PEM"),
        ({"tls": Tls(certificate=b"-----BEGIN CERTIFICATE-----")}, "one came without the other"),
    ],
    ids=["no connections", "compression", "keep-alive", "token", "no file", "no PEM", "no key"],
)
def test_options_that_cannot_be_are_refused_naming_them(options, text):
    with pytest.raises(InvalidInput, match=text):
        Client("127.0.0.1:1", **options)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8500",
        "localhost:8500",
        "[::1]:8500",
        "dns:///localhost:8500",
        "ipv4:127.0.0.1:1,127.9.9.9:2",
        "unix:a",
    ],
)
def test_a_token_may_travel_readable_on_this_machine(address):
    assert Connection(address, token="secret").metadata == (("authorization", "Bearer secret"),)  # noqa: S106


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:8500", "example.com:8500", "dns:///example.com", "ipv4:127.0.0.1:1,10.0.0.1:2", "localhost.a:1"],
)
def test_a_token_does_not_travel_readable_to_others(address):
    with pytest.raises(InvalidInput, match="TLS was expected"):
        Connection(address, token="secret")  # noqa: S106


def test_secrets_are_not_shown():
    key = b"-----BEGIN PRIVATE KEY-----"
    tls = Tls(certificate=b"-----BEGIN CERTIFICATE-----", key=key)
    shown = repr(Connection("example.com:8500", tls=tls, token="secret"))  # noqa: S106
    assert "secret" not in shown
    assert "PRIVATE" not in shown


def test_without_a_token_nothing_goes_beside_a_message():
    assert Connection("example.com:8500").metadata == ()
