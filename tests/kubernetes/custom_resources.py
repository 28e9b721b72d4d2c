# requirements: cloudcoil-models-prometheus-operator==0.80.1.0
# requirements: kserve==0.21.0
"""Holds custom resources to the models that were generated from their definitions; runs in an environment of its own.

Reads a JSON list of resources from stdin, prints a line for each, and exits with 1 if one does not fit. Those of the
Prometheus operator are held to cloudcoil's pydantic models of its definitions, those of KServe to the OpenAPI models of
its own SDK. Neither knows the rules that a definition states in CEL, nor what an admission webhook refuses.
"""

import importlib
import json
import re
import sys
import warnings
from importlib.metadata import version
from typing import Any

PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "object": object,
    "datetime": str,
}
CONTAINER = re.compile(r"(list|dict)[\[(](?:str, ?)?(.+)[\])]", re.IGNORECASE)
ANYTHING = {"object", "ResourceQuantity", "IntOrString", "KnativeURL", "KnativeVolatileTime"}


class Unfit(Exception):
    """A field does not fit; the text names it and says why."""


def by_pydantic(resource: dict[str, Any]) -> str:
    """Which model a resource of the Prometheus operator fits, without a field that the model does not know."""
    module = importlib.import_module("cloudcoil.models.prometheus_operator.v1")
    read = getattr(module, resource["kind"]).model_validate(resource, strict=True)
    if (known := read.model_dump(mode="json", by_alias=True, exclude_unset=True)) != resource:
        raise Unfit(f"fields that the definition does not know: {first_difference(resource, known)}")
    return f"cloudcoil-models-prometheus-operator {version('cloudcoil-models-prometheus-operator')}"


def first_difference(ours: Any, known: Any, path: str = "") -> str:
    """Where what was read differs from what was given."""
    if isinstance(ours, dict) and isinstance(known, dict):
        for key in ours:
            if key not in known:
                return f"{path}.{key}"
            if ours[key] != known[key]:
                return first_difference(ours[key], known[key], f"{path}.{key}")
    if isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        at = next(i for i, pair in enumerate(zip(ours, known, strict=True)) if pair[0] != pair[1])
        return first_difference(ours[at], known[at], f"{path}[{at}]")
    return path


def by_openapi(resource: dict[str, Any]) -> str:
    """Which model a resource of KServe fits, without a field that the model does not know."""
    group_version = resource["apiVersion"].rpartition("/")[2]
    hold(resource, f"{group_version[0].upper()}{group_version[1:]}{resource['kind']}", resource["kind"])
    return f"kserve {version('kserve')}"


def hold(value: Any, kind: str, path: str) -> None:
    """Raise Unfit unless a value has the type that OpenAPI's generator calls `kind`."""
    if kind in ANYTHING:
        return
    if kind in PRIMITIVES:
        expected = PRIMITIVES[kind]
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise Unfit(f"{path}: {value!r} came; {kind} was expected")
    elif found := CONTAINER.fullmatch(kind):
        entries = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(value, list if found[1].lower() == "list" else dict):
            raise Unfit(f"{path}: {value!r} came; {kind} was expected")
        for key, entry in entries.items():
            hold(entry, found[2], f"{path}[{key}]")
    else:
        hold_object(value, kind, path)


def hold_object(value: Any, kind: str, path: str) -> None:
    """The same for an object with fields: each is known, and those that are required are there."""
    model = model_named(kind)
    attributes = {name: attribute for attribute, name in model.attribute_map.items()}
    if not isinstance(value, dict):
        raise Unfit(f"{path}: {value!r} came; {kind} was expected")
    for name, entry in value.items():
        if name not in attributes:
            raise Unfit(f"{path}.{name}: {kind} has no such field")
        hold(entry, model.openapi_types[attributes[name]], f"{path}.{name}")
    try:
        model(**{attributes[name]: entry for name, entry in value.items()})
    except ValueError as error:
        raise Unfit(f"{path}: {error}") from error


def model_named(kind: str) -> Any:
    """The class of that name, of KServe or of Kubernetes' client. Raises Unfit if neither has it."""
    for name in ("kserve", "kubernetes.client"):
        if (found := getattr(importlib.import_module(name), kind, None)) is not None:
            return found
    # KServe exports most of its models, not all.
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    try:
        return getattr(importlib.import_module(f"kserve.models.{file}"), kind)
    except ModuleNotFoundError as error:
        raise Unfit(f"no model {kind}") from error


def main() -> int:
    """A line for each resource, and whether all fit."""
    warnings.simplefilter("ignore")
    bad = 0
    for resource in json.load(sys.stdin):
        name = f"{resource['kind']} {resource['metadata']['name']}"
        check = by_pydantic if resource["apiVersion"].startswith("monitoring.coreos.com/") else by_openapi
        try:
            print(f"  ✓ {name}: fits {check(resource)}")
        except (Unfit, ValueError) as error:
            bad += 1
            print(f"  ✗ {name}: {error}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
