"""Fashion-MNIST: which of ten kinds of clothing is it? 28 x 28 grey pixels in, ten probabilities out.

    signet-train fashion_mnist --recipe quick      2 minutes on 2 cores      HEADER

2,000 of the 60,000 training images are kept for validation, the curve in the report; the test images are read once, at
the end.
"""

import keras

from training.augment import flip
from training.datasets.fashion_mnist import SIZE_PIXELS, load_fashion_mnist
from training.fitting import FitPlan, fit
from training.schedules import OneCycle
from training.task import Dataset, FitOptions, History, Recipe, Task

layers = keras.layers


def conv_block(inputs: object, filters: int, strides: int = 1) -> object:
    """Convolution 3 x 3, batch normalisation, relu."""
    hidden = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(inputs)
    return layers.ReLU()(layers.BatchNormalization()(hidden))


def residual_pair(inputs: object, filters: int) -> object:
    """Two blocks whose sum with their input goes on (He et al., arXiv:1512.03385)."""
    return layers.Add()([inputs, conv_block(conv_block(inputs, filters), filters)])


def head(inputs: object, classes: int) -> object:
    """Global max and mean pooling side by side, then softmax."""
    pooled = layers.Concatenate()([layers.GlobalMaxPooling2D()(inputs), layers.GlobalAveragePooling2D()(inputs)])
    return layers.Dense(classes, activation="softmax", name="probabilities")(pooled)


def build_quick(dataset: Dataset) -> keras.Model:
    """24 by stride 2, 48, pool, 96, residual pair of 96."""
    image = keras.Input((SIZE_PIXELS, SIZE_PIXELS, 1), dtype="uint8", name="image")
    hidden = conv_block(layers.Rescaling(1 / 127.5, offset=-1)(image), 24, strides=2)
    hidden = layers.MaxPooling2D(2)(conv_block(hidden, 48))
    hidden = residual_pair(conv_block(hidden, 96), 96)
    return keras.Model(image, head(hidden, len(dataset.class_indices)))


def smoothed_crossentropy(truth: object, scores: object) -> object:
    """The loss of each row, the truth given 0.9 and the rest shared by all classes."""
    classes = scores.shape[1]  # type: ignore[attr-defined] # a tensor
    return keras.losses.categorical_crossentropy(keras.ops.one_hot(truth, classes), scores, label_smoothing=0.1)


def fit_quick(model: keras.Model, dataset: Dataset, options: FitOptions) -> History:
    """SGD with Nesterov momentum, one cycle to 0.2, images flipped at random."""
    plan = FitPlan(
        lambda steps: keras.optimizers.SGD(OneCycle(0.2, steps), momentum=0.9, nesterov=True, weight_decay=5e-3),
        smoothed_crossentropy,
        batch_rows=128,
        augment=flip,
    )
    return fit(model, dataset, options, plan)


FASHION_MNIST = Task(
    name="fashion_mnist",
    title="Fashion-MNIST: ten kinds of clothing",
    input_name="image",
    output_name="probabilities",
    load=load_fashion_mnist,
    decision={"kind": "argmax"},
    preprocessing={
        "kind": "image",
        "input": "image",
        "height": SIZE_PIXELS,
        "width": SIZE_PIXELS,
        "color_mode": "grayscale",
        "other_size": "resize",
        "alpha_background": 0,
        "exif_orientation": True,
    },
    recipes={
        "quick": Recipe(
            name="quick",
            summary="A small batch-normalised residual net, one cycle of six epochs",
            epochs=6,
            batch_rows=128,
            seed=1,
            build=build_quick,
            fit=fit_quick,
        )
    },
    default_recipe="quick",
    course_figure="92.88 %",
    notes={"quick": "The course's figure is that of its best net, VGG-7 with augmentation, trained for 100 minutes."},
)
