"""Stacking: the course's two smallest nets, on synthetic rows that they can learn; how layers stack, and nothing more.

    signet-train stacking --recipe mlp      package stacking          10 s on 2 cores    97.8 % of 500 rows
    signet-train stacking --recipe cnn      package stacking_cnn      10 s on 2 cores    500 of 500

The course names the layers alone; data and schedule are ours.
"""

from functools import partial

import keras

from training.datasets.patterns import SIZE_PIXELS, load_bars, load_numbers
from training.fitting import FitPlan, fit
from training.losses import binary_crossentropy
from training.nets import classified, pixels
from training.task import Dataset, Recipe, Task

layers = keras.layers

NUMBERS = ("x0", "x1", "x2", "x3")


def build_mlp(dataset: Dataset) -> keras.Model:  # noqa: ARG001 - always the same net
    """4 → 8 relu → 6 relu → 1 sigmoid: 101 parameters."""
    features = keras.Input((len(NUMBERS),), name="features")
    hidden = layers.Dense(6, activation="relu")(layers.Dense(8, activation="relu")(features))
    return keras.Model(features, layers.Dense(1, activation="sigmoid", name="probability")(hidden))


def build_cnn(dataset: Dataset) -> keras.Model:
    """8 x 8 pixels; convolutions of 2 (3 x 3) and 3 (2 x 2), each pooled, dense 8, softmax: 178 parameters."""
    image, hidden = pixels((SIZE_PIXELS, SIZE_PIXELS, 1), 1 / 255)
    for count, size in ((2, 3), (3, 2)):
        hidden = layers.Conv2D(count, size, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D(2)(hidden)
    hidden = layers.Dense(8, activation="relu")(layers.Flatten()(hidden))
    return classified(image, hidden, len(dataset.class_indices))


RECIPES = (
    Recipe(
        name="mlp",
        summary="4-8-6-1 on four numbers",
        epochs=60,
        batch_rows=50,
        seed=1,
        build=build_mlp,
        fit=partial(
            fit,
            plan=FitPlan(lambda _: keras.optimizers.Adam(0.01), binary_crossentropy, batch_rows=50, whole_epochs=True),
        ),
    ),
    Recipe(
        name="cnn",
        summary="Two convolutions on 8 x 8 pixels",
        epochs=30,
        batch_rows=50,
        seed=1,
        build=build_cnn,
        fit=partial(
            fit,
            plan=FitPlan(
                lambda _: keras.optimizers.Adam(0.01),
                keras.losses.sparse_categorical_crossentropy,
                batch_rows=50,
                jit_compile=False,
            ),
        ),
        load=load_bars,
        package={
            "name": "stacking_cnn",
            "title": "A bar across, down or slanted",
            "input_name": "image",
            "output_name": "probabilities",
            "decision": {"kind": "argmax"},
            "preprocessing": {
                "kind": "image",
                "input": "image",
                "height": SIZE_PIXELS,
                "width": SIZE_PIXELS,
                "color_mode": "grayscale",
                "other_size": "resize",
                "alpha_background": 0,
                "exif_orientation": True,
            },
        },
    ),
)

STACKING = Task(
    name="stacking",
    title="Is x0 x1 + x2 above x3?",
    input_name="features",
    output_name="probability",
    load=load_numbers,
    decision={"kind": "sigmoid", "threshold": 0.5},
    preprocessing={
        "kind": "features",
        "input": "features",
        "features": [{"name": name, "minimum": -1, "maximum": 1} for name in NUMBERS],
    },
    recipes={recipe.name: recipe for recipe in RECIPES},
    default_recipe="mlp",
)
