"""tf.Examples → the arrays that a model takes.

Owns which features of an example become which input: named numbers, an image file, or any model's inputs by their names
with the elements in a row. Does not know requests, nor what is decided about the rows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from protos.tensorflow_serving.example_pb2 import Example, Feature
from protos.tensorflow_serving.prediction_service_pb2 import Input
from serving.errors import InvalidInput
from serving.inference.images import decode_images
from serving.inference.inputs import FeaturePreprocessing, ImagePreprocessing, arrange_features
from serving.inference.signature import Tensors, TensorSpec
from serving.repository.served_model import ServedModel
from serving.rpc.tensor_codec import decode_values

ENCODED_IMAGE = "image/encoded"
"""The feature that TensorFlow's own image models read a file from."""

Row = Mapping[str, Feature]


def decode_examples(given: Input, model: ServedModel, max_rows: int, max_image_pixels: int) -> Tensors:
    """The inputs of `model`, one row an example. Raises InvalidInput naming the example and the feature."""
    rows = _rows(given)
    if not 1 <= len(rows) <= max_rows:
        raise InvalidInput(f"input: {len(rows)} examples came; 1 to {max_rows} were expected")
    to = model.manifest.preprocessing
    if isinstance(to, ImagePreprocessing) and _image_feature(rows[0], to):
        return {to.input: decode_images(_images(rows, to), to, max_image_pixels)}
    if isinstance(to, FeaturePreprocessing) and rows[0].keys() != {to.input}:
        numbers = [_numbers(index, row) for index, row in enumerate(rows)]
        return {to.input: arrange_features(numbers, to, model.signature.inputs[0].dtype)}
    _check_names(rows, model)
    return {spec.name: _tensor(spec, rows, model) for spec in model.signature.inputs}


def _rows(given: Input) -> list[Row]:
    """The features of each example; those of the context where an example has none of the name."""
    if given.HasField("example_list_with_context"):
        context = _features(given.example_list_with_context.context)
        return [{**context, **_features(one)} for one in given.example_list_with_context.examples]
    return [_features(one) for one in given.example_list.examples]


def _features(example: Example) -> Row:
    return dict(example.features.feature)


def _image_feature(row: Row, to: ImagePreprocessing) -> str:
    """The name of the feature that holds an image file, or ""."""
    names = [name for name in (ENCODED_IMAGE, to.input) if name in row and row[name].HasField("bytes_list")]
    return names[0] if names else ""


def _images(rows: Sequence[Row], to: ImagePreprocessing) -> list[bytes]:
    files = []
    for index, row in enumerate(rows):
        name = _image_feature(row, to)
        if not name:
            raise InvalidInput(f"examples[{index}]: an image file in {ENCODED_IMAGE} or {to.input} was expected")
        if len(row) > 1:
            raise InvalidInput(f"examples[{index}]: {_listed(row)} came; {name} alone was expected")
        (file,) = _exactly(1, index, name, row[name].bytes_list.value)
        files.append(file)
    return files


def _numbers(index: int, row: Row) -> dict[str, float]:
    numbers = {}
    for name, feature in row.items():
        values = _values(index, name, feature, ("float_list", "int64_list"))
        (numbers[name],) = _exactly(1, index, name, values)
    return numbers


def _check_names(rows: Sequence[Row], model: ServedModel) -> None:
    names = {spec.name for spec in model.signature.inputs}
    for index, row in enumerate(rows):
        if row.keys() != names:
            takes = ", ".join(map(str, model.signature.inputs))
            raise InvalidInput(f"examples[{index}]: {_listed(row) or 'no feature'} came; the model takes {takes}")


def _tensor(spec: TensorSpec, rows: Sequence[Row], model: ServedModel) -> Any:  # noqa: ANN401 - an array of any dtype
    if not spec.free_rows or -1 in spec.shape[1:] or spec.datatype == "BF16":
        raise InvalidInput(f"input: examples cannot fill {spec} of model {model.name}; use Predict")
    lists: tuple[str, ...] = ("int64_list",)
    if spec.datatype == "BYTES":
        lists = ("bytes_list",)
    elif spec.dtype.kind == "f":
        lists = ("float_list", "int64_list")
    size = math.prod(spec.shape[1:])
    elements: list[Any] = []
    for index, row in enumerate(rows):
        elements += _exactly(size, index, spec.name, _values(index, spec.name, row[spec.name], lists))
    return decode_values(spec, (len(rows), *spec.shape[1:]), elements)


def _values(index: int, name: str, feature: Feature, lists: tuple[str, ...]) -> Sequence[Any]:
    kind = feature.WhichOneof("kind")
    if kind not in lists:
        came = kind or "no list"
        raise InvalidInput(f"examples[{index}]: feature {name[:128]}: {came} came; {' or '.join(lists)} was expected")
    values: Sequence[Any] = getattr(feature, kind).value
    return values


def _exactly(size: int, index: int, name: str, values: Sequence[Any]) -> Sequence[Any]:
    if len(values) != size:
        plural = "value was" if size == 1 else "values were"
        raise InvalidInput(f"examples[{index}]: feature {name[:128]}: {len(values)} came; {size} {plural} expected")
    return values


def _listed(row: Row) -> str:
    names = sorted(row)
    return ", ".join(name[:64] for name in names[:16])
