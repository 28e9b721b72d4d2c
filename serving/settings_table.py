"""The table of settings that README.md holds.

Owns its look; a test holds README.md to it. `python -m serving.settings_table` prints it.
"""

from typing import Any, get_args

from pydantic.fields import FieldInfo

from serving.settings import Settings


def settings_table() -> str:
    """A Markdown table: flag, environment variable, default, meaning; one row a setting, in the order of `Settings`."""
    lines = ["| flag | environment | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        flag, variable = name.replace("_", "-"), name.upper()
        lines.append(f"| `--{flag}` | `SIGNET_{variable}` | {_default(field)} | {_meaning(field)} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _meaning(field: FieldInfo) -> str:
    choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
    return f"{field.description}{_listed(choices)}"


def _listed(choices: list[Any]) -> str:
    return f" One of {', '.join(f'`{one}`' for one in choices)}." if choices else ""


if __name__ == "__main__":
    print(settings_table(), end="")  # noqa: T201 - what it is for
