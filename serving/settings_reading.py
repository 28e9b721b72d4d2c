"""Flags and environment → Settings.

Owns the only reading of either, `--help`, and the words of what is wrong. A flag (`--max-batch-rows`) wins over the
environment (`SIGNET_MAX_BATCH_ROWS`), which wins over the default. Does not know what the values do.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_args

from msgspec import Meta

from serving.settings import PATHS, Settings
from serving.stated import read_text

PREFIX = "SIGNET_"

METAVARS = {int: "INTEGER", float: "NUMBER"}


def read_settings(arguments: Sequence[str]) -> Settings:
    """Settings from flags, environment and defaults.

    Raises ValueError with one line for each bad value: its name, what came, what was expected. `--help` and unknown
    flags end the process, as argparse does.
    """
    environment = {
        name.upper().removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX)
    }
    stated = {**environment, **vars(_parser().parse_args(arguments))}
    values, complaints = {}, []
    for one in fields(Settings):
        if one.name in stated:
            try:
                values[one.name] = _value(one, stated[one.name])
            except ValueError as error:
                complaints.append(f"{one.name} ({flag(one.name)}, {variable(one.name)}): {error}")
    if complaints:
        raise ValueError("\n".join(complaints))
    return Settings(**values)


def flag(name: str) -> str:
    """Of the setting `name`."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Of the environment, for the setting `name`."""
    return f"{PREFIX}{name.upper()}"


def choices(one: "Field[Any]") -> list[str]:
    """The texts that a setting is one of; none where it is not."""
    return [choice for choice in get_args(one.type) if isinstance(choice, str)]


def _value(one: "Field[Any]", stated: Any) -> Any:  # noqa: ANN401 - a text, of a switch maybe whether it is on
    if isinstance(stated, bool):
        return stated
    if one.type in PATHS:
        return Path(stated)
    if (check := one.metadata["check"]) is not None:
        return check(stated)
    return read_text(Annotated[one.type, Meta(**one.metadata["limits"])], stated)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signet-serve",
        description=Settings.__doc__,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for one in fields(Settings):
        default = "none" if one.default is None else one.default
        text = f"{one.metadata['meaning']} (default: {default})".replace("%", "%%")
        if one.type is bool:
            parser.add_argument(flag(one.name), action=argparse.BooleanOptionalAction, help=text)
        else:
            parser.add_argument(flag(one.name), metavar=_metavar(one), help=text)
    return parser


def _metavar(one: "Field[Any]") -> str:
    if listed := choices(one):
        return f"{{{','.join(listed)}}}"
    return next((word for kind, word in METAVARS.items() if one.type is kind), "PATH" if one.type in PATHS else "TEXT")
