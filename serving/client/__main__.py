"""`signet`: ask a running server from a shell.

Owns commands, their flags and exit codes: 0, 1 for an error that has a text (or the answer no), 2 for bad flags, 130
for Ctrl-C. Does not know what the commands do.
"""

import argparse
import os
import sys
from pathlib import Path

from serving.client.conformance.command import add_flags as add_conformance_flags
from serving.client.conformance.command import conformance
from serving.client.connection_flags import add_connection_flags, connect, defaults
from serving.client.evaluate import evaluate
from serving.client.load.command import add_flags, load_test
from serving.client.model_commands import (
    health,
    label_version,
    labels,
    list_models,
    load_model,
    show_model,
    split_traffic,
    unload_model,
)
from serving.client.output import complain
from serving.client.predict_command import predict
from serving.errors import ServingError


def main() -> None:
    """Run `signet`."""
    whole = parser()
    flags, rest = whole.parse_known_args()
    # argparse takes FILEs right behind MODEL alone, and MODELs right behind load-test; they may follow flags too.
    if "files" in flags:
        flags.files = [*flags.files, *(Path(one) for one in rest if not one.startswith("-"))]
    if "models" in flags:
        flags.models = [*flags.models, *(one for one in rest if not one.startswith("-"))]
    if "files" in flags or "models" in flags:
        rest = [one for one in rest if one.startswith("-")]
    if rest:
        whole.error(f"unrecognized arguments: {' '.join(rest)}")
    if "files" in flags and bool(flags.files) == bool(flags.features):
        whole.error("predict: either FILEs or --features were expected")
    try:
        with connect(flags) as client:
            code = flags.command(client, flags)
    except ServingError as error:
        complain(f"{error} (request id {error.request_id})" if error.request_id else str(error))
        code = 1
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain of it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Every command and flag of `signet`."""
    whole = argparse.ArgumentParser(prog="signet", description="Ask a running Signet server.", allow_abbrev=False)
    whole.set_defaults(**defaults(), json=False)
    commands = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")

    one = _add(commands, "predict", "label images or rows of features", predict)
    one.add_argument("model", metavar="MODEL", help="name of the model")
    one.add_argument("files", nargs="*", type=Path, metavar="FILE", help="PNG, JPEG, BMP or WebP images, each a row")
    one.add_argument(
        "--features",
        nargs="+",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_feature,
        help="a row of named numbers, instead of files; give it again for the next row",
    )
    one.add_argument("--top-k", type=_positive, default=1, metavar="N", help="how many classes to list (default: 1)")
    _add_version(one, "the model's default")
    one.add_argument("--version-label", metavar="LABEL", help="label of a version, instead of its number")

    one = _add(commands, "labels", "list a model's labels and their class indices", labels)
    one.add_argument("model", metavar="MODEL", help="name of the model")
    _add_version(one, "the model's default")

    one = _add(commands, "health", "exit with 0 if SERVING, else with 1", health)
    one.add_argument("model", nargs="?", default="", metavar="MODEL", help="a model; without it, the server")

    one = _add(commands, "evaluate", "send a package's test split, compare accuracy with its report", evaluate)
    one.add_argument("package", type=Path, metavar="PACKAGE_DIR", help="the folder that holds manifest.json")

    add_flags(_add(commands, "load-test", "send calls at a stated rate, tell what became of them", load_test))

    add_conformance_flags(
        _add(
            commands, "conformance", "check any server of the Open Inference Protocol against its promises", conformance
        )
    )

    _add_models(_add(commands, "models", "list the models, show one, load or unload versions", list_models))
    return whole


def _add_models(models: argparse.ArgumentParser) -> None:
    verbs = models.add_subparsers(title="verbs", metavar="VERB")
    _add(verbs, "list", "every version and its state; so does no verb", list_models)
    for verb, text, command, version in (
        ("show", "all about one version", show_model, "the model's default"),
        ("load", "make a version READY (the server needs --allow-control)", load_model, "the highest on disk"),
        ("unload", "drain and free versions (the server needs --allow-control)", unload_model, "all of them"),
    ):
        one = _add(verbs, verb, text, command)
        one.add_argument("model", metavar="MODEL", help="name of the model")
        _add_version(one, version)
        if verb == "load":
            one.add_argument(
                "--policy",
                default="",
                metavar="P",
                help="instead of a version: latest:N, all, specific:N,N; followed on",
            )

    one = _add(verbs, "label", "point a version label at a version (the server needs --allow-control)", label_version)
    one.add_argument("model", metavar="MODEL", help="name of the model")
    one.add_argument("label", metavar="LABEL", help="such as stable or canary")
    one.add_argument("version", nargs="?", type=_positive, metavar="VERSION", help="a READY version")
    one.add_argument("--remove", action="store_true", help="forget the label")

    one = _add(
        verbs, "split", "send shares of the requests to labels (the server needs --allow-control)", split_traffic
    )
    one.add_argument("model", metavar="MODEL", help="name of the model")
    one.add_argument(
        "percent", nargs="*", type=_feature, metavar="LABEL=PERCENT", help="of the requests without a version"
    )
    one.add_argument("--remove", action="store_true", help="end the split")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, command: object
) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    one.set_defaults(command=command)
    add_connection_flags(one)
    one.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, one value a line, instead of text"
    )
    return one


def _add_version(one: argparse.ArgumentParser, default: str) -> None:
    one.add_argument("--version", type=_positive, metavar="N", help=f"version of the model (default: {default})")


def _feature(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        equals = ""
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} came; NAME=NUMBER was expected")
    return name, value


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} came; a number from 1 on was expected")
    return int(text)


if __name__ == "__main__":
    main()
