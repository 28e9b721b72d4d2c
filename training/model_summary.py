"""A Keras model as a table of layers.

Owns what is told of each layer. Does not know where the table is shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_TOLD = {
    "filters": "{} filters",
    "units": "{} units",
    "kernel_size": "{}",
    "pool_size": "{}",
    "strides": "stride {}",
    "padding": "{}",
    "activation": "{}",
    "rate": "{}",
    "scale": "by {}",
}
_USUAL: dict[str, tuple[Any, ...]] = {
    "strides": ((1, 1), [1, 1]),
    "padding": ("valid",),
    "activation": ("linear",),
}


@dataclass(frozen=True)
class LayerLine:
    """One layer: `detail` in words, `shape` of its output without rows, and how many numbers it holds."""

    name: str
    kind: str
    detail: str
    shape: str
    parameters: int


def layer_lines(model: "keras.Model") -> list[LayerLine]:
    """Give the layers in order, those of a model inside the model in its place."""
    lines: list[LayerLine] = []
    for layer in model.layers:
        if getattr(layer, "layers", None):
            lines.extend(layer_lines(layer))
        else:
            lines.append(layer_line(layer))
    return lines


def layer_line(layer: Any) -> LayerLine:  # noqa: ANN401 - Keras is published without types
    """Tell of one layer; of a model inside a model, as if it were one."""
    return LayerLine(layer.name, type(layer).__name__, _detail(layer), _shape(layer), layer.count_params())


def parameter_counts(model: "keras.Model") -> dict[str, int]:
    """Count the model's numbers: total, trainable, and those that are not, such as moving averages."""
    trainable = sum(int(weight.size) for weight in _sized(model.trainable_weights))
    fixed = sum(int(weight.size) for weight in _sized(model.non_trainable_weights))
    return {"total": trainable + fixed, "trainable": trainable, "non_trainable": fixed}


def _sized(weights: list[Any]) -> list[Any]:
    # Seed generators of dropout layers are state, not numbers that the model learned.
    return [weight.numpy() for weight in weights if "seed_generator" not in weight.path]


def _detail(layer: Any) -> str:  # noqa: ANN401
    settings = layer.get_config()
    told = []
    for key, text in _TOLD.items():
        value = settings.get(key)
        if value is None or isinstance(value, (bool, dict)) or value in _USUAL.get(key, ()):
            continue
        told.append(text.format(_words(value)))
    return ", ".join(told)


def _words(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, (tuple, list)):
        return _sizes(value)
    if isinstance(value, float):
        # 1/255 and 1/127.5, the usual scales of pixels.
        halves = 2 / value if 0 < value < 0.1 else 0.5
        return f"1/{round(halves) / 2:g}" if abs(halves - round(halves)) < 1e-6 else f"{value:g}"
    return str(value)


def _sizes(sizes: Iterable[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(str(size) for size in sizes)


def _shape(layer: Any) -> str:  # noqa: ANN401
    output = layer.output[0] if isinstance(layer.output, list) else layer.output
    return _sizes(output.shape[1:]) or "1"
