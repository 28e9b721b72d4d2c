"""The table of settings that README.md holds.

Owns its look; a test holds README.md to it. `python -m serving.settings_table` prints it.
"""

from dataclasses import Field, fields
from typing import Any

from serving.settings import Settings
from serving.settings_reading import choices, flag, variable


def settings_table() -> str:
    """A Markdown table: flag, environment variable, default, meaning; one row a setting, in the order of `Settings`."""
    rows = [
        f"| `{flag(one.name)}` | `{variable(one.name)}` | {_default(one)} | {_meaning(one)} |"
        for one in fields(Settings)
    ]
    return "\n".join(("| flag | environment | default | meaning |", "|---|---|---|---|", *rows)) + "\n"


def _default(one: "Field[Any]") -> str:
    return f"`{str(one.default).lower() if isinstance(one.default, bool) else one.default}`"


def _meaning(one: "Field[Any]") -> str:
    listed = ", ".join(f"`{choice}`" for choice in choices(one))
    return f"{one.metadata['meaning']}{f' One of {listed}.' if listed else ''}"


if __name__ == "__main__":
    print(settings_table(), end="")  # noqa: T201 - what it is for
