"""A port is held for those who share it, and refused where somebody else has it."""

import socket

import pytest

from serving.shared_port import HeldPort

HOST = "127.0.0.1"


def test_workers_can_listen_on_a_held_port_and_are_all_that_is_reached():
    held = HeldPort(HOST, 0)
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind((HOST, held.port))
        worker.listen()
        with socket.create_connection((HOST, held.port), timeout=5):
            worker.accept()[0].close()
    held.close()


def test_a_port_that_is_listened_on_is_refused_though_it_is_shared():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            HeldPort(HOST, other.getsockname()[1])


def test_a_port_that_is_held_already_is_refused():
    held = HeldPort(HOST, 0)
    with pytest.raises(OSError, match="in use"):
        HeldPort(HOST, held.port)
    held.close()


def test_a_port_that_was_let_go_can_be_held_again():
    held = HeldPort(HOST, 0)
    held.close()
    HeldPort(HOST, held.port).close()
