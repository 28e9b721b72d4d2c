"""The preprocessing that a manifest states, and named features → the array that a model takes.

Does not know requests; its errors name rows by the field `features`. Images: `serving.inference.images`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from serving.errors import InvalidInput
from serving.inference.signature import Tensors


class ImagePreprocessing(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="image"):
    """What the model's image input takes, and what is done with other images. Sizes in pixels."""

    input: str
    height: Annotated[int, Meta(ge=1)]
    width: Annotated[int, Meta(ge=1)]
    color_mode: Literal["grayscale", "rgb"]
    other_size: Literal["resize", "reject"]
    alpha_background: Annotated[int, Meta(ge=0, le=255)]
    exif_orientation: bool


class Feature(Struct, frozen=True, forbid_unknown_fields=True):
    """A named number and the range that training saw."""

    name: str
    minimum: float
    maximum: float


class FeaturePreprocessing(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="features"):
    """Named features in the order of the columns of the model's input."""

    input: str
    features: Annotated[tuple[Feature, ...], Meta(min_length=1)]


Preprocessing = ImagePreprocessing | FeaturePreprocessing


def arrange_features(rows: Sequence[Mapping[str, float]], to: FeaturePreprocessing, dtype: Any) -> NDArray[Any]:  # noqa: ANN401
    """Named numbers, one mapping a row, in the model's order: [rows, features] of `dtype`.

    Raises InvalidInput naming the row and every missing or unknown feature, or the one that is not finite in `dtype`.
    """
    names = [feature.name for feature in to.features]
    known = set(names)
    array = np.empty((len(rows), len(names)), dtype=np.float64)
    for index, row in enumerate(rows):
        if row.keys() != known:
            raise InvalidInput(f"features[{index}]: {_difference(row.keys(), names)}")
        array[index] = [row[name] for name in names]
    _check_values(array, to)
    with np.errstate(over="ignore"):
        cast = array.astype(dtype, copy=False)
    if not np.isfinite(cast).all():
        row, column = np.argwhere(~np.isfinite(cast))[0]
        raise InvalidInput(f"features[{row}]: {names[column]} is {array[row, column]}; it does not fit {cast.dtype}")
    return cast


def check_finite(inputs: Tensors, to: Preprocessing | None) -> None:
    """Raise InvalidInput naming the first of the named features [rows, features] that is NaN or infinite.

    A model without named features, `to` being another or None, may be given any numbers.
    """
    if isinstance(to, FeaturePreprocessing):
        _check_values(inputs[to.input], to)


def _check_values(array: NDArray[Any], to: FeaturePreprocessing) -> None:
    # Counting takes half the time of `all`, for each call.
    if array.dtype.kind != "f" or np.count_nonzero(np.isfinite(array)) == array.size:
        return
    row, column = np.argwhere(~np.isfinite(array))[0]
    name, value = to.features[column].name, array[row, column]
    raise InvalidInput(f"features[{row}]: {name} is {value}; a finite number was expected")


def _difference(came: Any, expected: Sequence[str]) -> str:  # noqa: ANN401 - a view of keys
    missing = [name for name in expected if name not in came]
    unknown = sorted(set(came) - set(expected))
    parts = [f"{word} {', '.join(names)}" for word, names in (("missing", missing), ("unknown", unknown)) if names]
    return f"{'; '.join(parts)}; the model takes {', '.join(expected)}"
