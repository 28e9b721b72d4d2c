"""The limits that protos/manifest.schema.json sets beyond the types and ranges of single fields.

Owns what is looked at before a manifest is read into its types. Does not know whether it fits the model beside it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serving.stated import Fault

MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""A model's name: it is a folder, a label of metrics and a service of health."""

MODEL_NAME_IN_WORDS = "a name of 1 to 128 letters, digits, '_', '.' and '-'"


def limit_faults(stated: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with a manifest that is not read yet, beside what its types say."""
    for name in ("decision", "preprocessing", "golden"):
        if name in stated and stated[name] is None:
            yield Fault(name, "null came; leave it out or state it")
    files = stated.get("files")
    if isinstance(files, dict) and "model.onnx" not in files:
        yield Fault("files", "model.onnx is missing")
    decision = stated.get("decision")
    if isinstance(decision, dict):
        if decision.get("kind") == "sigmoid" and "threshold" not in decision:
            yield Fault("decision.threshold", "it is missing; a number between 0 and 1 was expected")
        elif decision.get("kind") == "argmax" and "threshold" in decision:
            yield Fault("decision.threshold", "it came; argmax has none")
