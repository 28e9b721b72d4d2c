"""The flags by which every `signet` command reaches its server.

Owns their spelling and what they make of the environment. Does not know commands.
"""

import argparse
import os
from pathlib import Path

from serving.client.client import Client
from serving.client.connection import Tls

DEFAULT_ADDRESS = "127.0.0.1:8500"
DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 1e6
"""Far below what gRPC's clock overflows at, even times the rows of a stream."""


def defaults() -> dict[str, object]:
    """What the flags are where nobody gives them."""
    return {
        "address": os.environ.get("SIGNET_ADDRESS", DEFAULT_ADDRESS),
        "timeout_seconds": DEFAULT_TIMEOUT_SECONDS,
        "tls": False,
        "ca": None,
        "cert": None,
        "key": None,
        "token": os.environ.get("SIGNET_TOKEN", ""),
    }


def add_connection_flags(one: argparse.ArgumentParser) -> None:
    """The flags, for a command; none of them has a default there, since `defaults` are those of the whole."""
    add = one.add_argument_group("server").add_argument
    add(
        "--address",
        default=argparse.SUPPRESS,
        metavar="HOST:PORT",
        help=f"the server (default: SIGNET_ADDRESS, or {DEFAULT_ADDRESS})",
    )
    add(
        "--timeout-seconds",
        type=_seconds,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"seconds for a call or a predicted row, retries included (default: {DEFAULT_TIMEOUT_SECONDS:g})",
    )
    add(
        "--tls",
        action="store_true",
        default=argparse.SUPPRESS,
        help="talk in TLS, vouched for by the certificates that gRPC ships; without this and --ca, in plain text",
    )
    add(
        "--ca",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="talk in TLS, vouched for by these PEM certificates",
    )
    add(
        "--cert",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="PEM certificate chain to show, where the server asks for one; needs --key",
    )
    add("--key", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="PEM file of the key of --cert")
    add(
        "--token",
        default=argparse.SUPPRESS,
        metavar="TEXT",
        help="bearer token, over TLS or to this machine alone (default: SIGNET_TOKEN, which other users cannot see)",
    )


def connect(flags: argparse.Namespace) -> Client:
    """The client that the flags ask for; raises InvalidInput for those that do not go together."""
    shown = flags.cert is not None or flags.key is not None
    tls = Tls(flags.ca, flags.cert, flags.key) if flags.tls or flags.ca is not None or shown else None
    return Client(flags.address, timeout_seconds=flags.timeout_seconds, tls=tls, token=flags.token)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < MAX_TIMEOUT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} came; a number of seconds above 0 was expected")
    return seconds
