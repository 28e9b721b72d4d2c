"""`signet evaluate`: a package's test split through the running server, against the package's own report.

Owns the comparison. Does not know files: `package` reads them.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from serving.client.client import Client
from serving.client.output import complain, print_json, print_line
from serving.client.package import EvaluationPackage, read_package
from serving.errors import InvalidInput

BATCH_ROWS = 256
BATCH_BYTES = 8 * 1024 * 1024
IN_FLIGHT = 4
"""Requests under way at once: the server computes one while others travel."""


def evaluate(client: Client, flags: argparse.Namespace) -> int:
    """Print the accuracy that the server reaches; 1 if it is not the one of the package's report."""
    package = read_package(flags.package)
    _check_served(client, package)
    right = int(np.count_nonzero(predicted_classes(client, package) == package.truth))
    rows = len(package.truth)
    equal = right == package.report_right
    if flags.json:
        found = {"model": package.model, "version": package.version, "rows": rows, "right": right}
        print_json({**found, "accuracy": right / rows, "report_accuracy": package.report_accuracy, "equal": equal})
    else:
        verdict = "as its report states" if equal else "its report states another"
        print_line(f"{package.model} version {package.version}: accuracy {right / rows} ({right}/{rows}), {verdict}")
    if not equal:
        complain(f"{right} of {rows} rows were right; {package.report_right} were expected from report.json")
    return int(not equal)


def predicted_classes(client: Client, package: EvaluationPackage) -> NDArray[np.int64]:
    """The class index that the server decides for each row, [rows] int64."""
    row_bytes = sum(array.nbytes for array in package.inputs.values()) // len(package.truth)
    step = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes)))

    def ask(start: int) -> list[int]:
        batch = {name: array[start : start + step] for name, array in package.inputs.items()}
        answer = client.predict(package.model, batch, version=package.version)
        return [row.class_index for row in answer.predictions]

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        batches = list(pool.map(ask, range(0, len(package.truth), step)))
    return np.array([index for batch in batches for index in batch], np.int64)


def _check_served(client: Client, package: EvaluationPackage) -> None:
    """Raise InvalidInput unless the server serves this very version, as far as labels and inputs tell."""
    details = client.model(package.model, package.version)
    served = f"model {package.model} version {package.version}"
    if details.status.state != "READY":
        raise InvalidInput(f"{served} is {details.status.state} on the server: {details.status.reason or 'not READY'}")
    if details.class_indices != package.class_indices:
        raise InvalidInput(
            f"{served} has labels {details.class_indices} on the server; the package has {package.class_indices}"
        )
    names = sorted(spec.name for spec in details.inputs)
    if names != sorted(package.inputs):
        raise InvalidInput(
            f"{served} takes {', '.join(names)} on the server; evaluation.npz has {', '.join(package.inputs)}"
        )
