"""HAProxy's health check, byte by byte as haproxy.cfg has it, asked of a real server."""

import re
import socket
from pathlib import Path

import pytest

from tests import tiny_models as tiny
from tests.running_server import running_server

HAPROXY = (Path(__file__).parents[3] / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")
SENT = bytes.fromhex("".join(re.findall(r"^ +tcp-check send-binary (\w+)", HAPROXY, re.MULTILINE)))
ANSWERED, SERVING = map(bytes.fromhex, re.findall(r"^ +tcp-check expect .*?binary (\w+)", HAPROXY, re.MULTILINE))
SECONDS = 10.0


def answer(port):
    """What the server sends until it has answered the call."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(SENT)
        while ANSWERED not in came:
            part = connection.recv(65536)
            assert part, came
            came += part
    return came


@pytest.mark.parametrize("transport", ["aio", "native"])
def test_a_server_that_has_a_model_is_serving(tmp_path, transport):
    tiny.put_sums(tmp_path)
    with running_server(tmp_path, transport=transport) as server:
        assert SERVING in answer(server.port)


@pytest.mark.parametrize("transport", ["aio", "native"])
def test_a_server_without_a_model_is_not_serving(tmp_path, transport):
    with running_server(tmp_path, transport=transport) as server:
        assert SERVING not in answer(server.port)
