"""The id by which a call is found in the log, in its trace and in its answer.

Owns where it comes from and what one looks like. Does not know where it is written.
"""

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.rpc.methods import Metadata

NAME = "x-request-id"
"""Of the metadata that brings it, and that takes it back."""

MADE_BYTES = 8

_LOOKS = re.compile(r"[ -~]{1,128}")
"""Printable ASCII, so that a line of a log stays one line that says what it said."""


def request_id(said: str, metadata: "Metadata") -> str:
    """What the message `said` if it can be written down, else what the metadata says, else a new one."""
    if _LOOKS.fullmatch(said):
        return said
    for name, value in metadata:
        if name == NAME and isinstance(value, str) and _LOOKS.fullmatch(value):
            return value
    return secrets.token_hex(MADE_BYTES)
