"""`signet conformance`: its flags, and the order of its steps.

Owns spelling and defaults of the flags and the exit code: 0 only if no MUST is broken. Does not know the checks.
"""

import argparse
from pathlib import Path

from serving.client.client import Client
from serving.client.output import print_json, print_line


def conformance(client: Client, flags: argparse.Namespace) -> int:
    """Examine the server; 1 if it breaks a promise of the specification."""
    # Only now: its messages bear the names that other clients' have, and a process holds them once.
    from serving.client.conformance import identity_model, runner, tables  # noqa: PLC0415

    if flags.write_identity_model:
        for path in identity_model.write_identity_models(flags.write_identity_model):
            print_json(str(path)) if flags.json else print_line(str(path))
        return 0
    models = flags.model or [identity_model.MODEL]
    results = list(runner.examine(client.connection, models, flags.timeout_seconds))
    if flags.json:
        print_json(tables.as_json(flags.address, models, results))
    else:
        tables.print_results(results)
    return int(not tables.conforms(results))


def add_flags(one: argparse.ArgumentParser) -> None:
    """The flags of `signet conformance`."""
    one.add_argument(
        "address", nargs="?", default=argparse.SUPPRESS, metavar="HOST:PORT", help="the server, as --address"
    )
    one.add_argument(
        "--model",
        action="append",
        metavar="M",
        help="an identity model: output i equals input i (default: identity); M_<datatype>, like M_fp16, are looked "
        "for too, and more may be named",
    )
    one.add_argument(
        "--write-identity-model",
        type=Path,
        metavar="DIR",
        help="write such models as DIR/<model>/1/model.onnx, and end",
    )
