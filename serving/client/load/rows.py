"""The rows that a load test sends: a package's own, or made up from what the model takes.

Owns how numbers are drawn for a signature. Does not know calls.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.client.answers import FeaturePreprocessing, ModelDetails, TensorSpec
from serving.client.package import read_package
from serving.client.tensors import DATATYPES
from serving.errors import InvalidInput

Rows = dict[str, NDArray[Any]]
"""Arrays by input name, each with rows on axis 0."""


def packaged_rows(packages: Path, details: ModelDetails, count: int, random: np.random.Generator) -> Rows:
    """At most `count` rows of the test split in the package of this very version.

    Raises InvalidInput naming the file that is missing or does not fit.
    """
    folder = packages / details.status.model / str(details.status.version)
    inputs = read_package(folder).inputs
    names = sorted(spec.name for spec in details.inputs)
    if sorted(inputs) != names:
        raise InvalidInput(f"{folder / 'evaluation.npz'}: has {', '.join(inputs)}; the model takes {', '.join(names)}")
    whole = len(next(iter(inputs.values())))
    chosen = np.sort(random.choice(whole, min(count, whole), replace=False))
    return {name: array[chosen] for name, array in inputs.items()}


def made_up_rows(details: ModelDetails, count: int, random: np.random.Generator) -> Rows:
    """`count` rows that fit the signature; free dimensions other than rows are 1.

    Named features are drawn from the range that training saw, other floats from a standard normal distribution,
    integers are 0 or 1, since they may be indices, and bytes are of any value, since they are pixels. Raises
    InvalidInput for strings and for a model without a rows axis.
    """
    return {spec.name: _made_up(details, spec, count, random) for spec in details.inputs}


def _made_up(details: ModelDetails, spec: TensorSpec, count: int, random: np.random.Generator) -> NDArray[Any]:
    about = f"model {details.status.model} takes {spec}"
    if not spec.shape or spec.shape[0] not in {-1, 1}:
        raise InvalidInput(f"{about}; rows on a free axis 0 were expected")
    dtype = DATATYPES.get(spec.datatype)
    if dtype is None or dtype.kind == "O":
        raise InvalidInput(f"{about}, for which rows cannot be made up; --packages was expected")
    shape = (count, *(1 if size == -1 else size for size in spec.shape[1:]))
    ranges = details.preprocessing
    if isinstance(ranges, FeaturePreprocessing) and ranges.input == spec.name:
        lowest = [one.minimum for one in ranges.features]
        highest = [one.maximum for one in ranges.features]
        return random.uniform(lowest, highest, shape).astype(dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    highest_integer = 256 if spec.datatype == "UINT8" else 2
    return random.integers(0, highest_integer, shape).astype(dtype)
