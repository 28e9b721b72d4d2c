"""The nets that the image recipes train, and the blocks they are made of.

Owns layers. Does not know data, schedules or figures. Every net takes uint8 pixels and scales them itself.
"""

from typing import Any

import keras

from training.normalisation import BatchNormalization

layers = keras.layers

Tensor = Any
"""A Keras tensor; Keras has no types."""


def course_cnn(shape: tuple[int, int, int], classes: int, filters: tuple[int, ...], *, pool: bool) -> keras.Model:
    """The course's first nets: 3 x 3 convolutions **without activation**, dense 128, softmax.

    `pool`: a max-pool before each convolution but the first, and dropout 0.3 before the last layer.
    """
    image, hidden = pixels(shape, 1 / 255)
    for index, count in enumerate(filters):
        if pool and index:
            hidden = layers.MaxPooling2D(2)(hidden)
        hidden = layers.Conv2D(count, 3)(hidden)
    hidden = layers.Dense(128, activation="relu")(layers.Flatten()(hidden))
    return classified(image, layers.Dropout(0.3)(hidden) if pool else hidden, classes)


def vgg7(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """The course's VGG-7: the fourth convolution alone without padding; for Fashion-MNIST 5,240,842 parameters."""
    image, hidden = pixels(shape, 1 / 255)
    for first, second, padding in ((32, 64, "same"), (128, 256, "valid")):
        hidden = layers.Conv2D(first, 3, padding="same", activation="relu")(hidden)
        hidden = layers.Conv2D(second, 3, padding=padding, activation="relu")(hidden)
        hidden = layers.Dropout(0.5)(layers.MaxPooling2D(2)(hidden))
    hidden = layers.Flatten()(hidden)
    for units in (512, 256):
        hidden = layers.Dropout(0.5)(layers.Dense(units, activation="relu")(hidden))
    return classified(image, hidden, classes)


def lenet5(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998).

    Its 32 x 32 page is the image with a border of 2; means are pooled, tanh activates. Its partial connections between
    the first two convolutions and its radial output are those of today's nets: full ones, and softmax.
    """
    image, hidden = pixels(shape, 1 / 255)
    hidden = layers.ZeroPadding2D(2)(hidden)
    for count in (6, 16):
        hidden = layers.AveragePooling2D(2)(layers.Conv2D(count, 5, activation="tanh")(hidden))
    hidden = layers.Conv2D(120, 5, activation="tanh")(hidden)
    return classified(image, layers.Dense(84, activation="tanh")(layers.Flatten()(hidden)), classes)


def quick_net(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """24 by stride 2, 48, pool, 96, residual pair of 96; for Fashion-MNIST 221,314 parameters."""
    image, hidden = pixels(shape, 1 / 127.5, -1.0)
    hidden = conv_block(hidden, 24, strides=2)
    hidden = layers.MaxPooling2D(2)(conv_block(hidden, 48))
    return classified(image, both_pools(residual_pair(conv_block(hidden, 96), 96)), classes)


def residual_net(
    shape: tuple[int, int, int], classes: int, widths: tuple[int, int, int, int], pairs: tuple[int, int, int]
) -> keras.Model:
    """Blocks of `widths`, so many residual pairs behind each but the first, two pools.

    For Fashion-MNIST 24, 48, 96, 128 and a pair each: 670,850 parameters; 32, 64, 128, 160 and 1, 2, 2: 1,871,786.
    """
    first, second, third, fourth = widths
    image, hidden = pixels(shape, 1 / 127.5, -1.0)
    hidden = layers.MaxPooling2D(2)(conv_block(conv_block(hidden, first), second))
    hidden = layers.MaxPooling2D(2)(conv_block(residual_pairs(hidden, second, pairs[0]), third))
    hidden = conv_block(residual_pairs(hidden, third, pairs[1]), fourth)
    return classified(image, both_pools(residual_pairs(hidden, fourth, pairs[2])), classes)


def pixels(shape: tuple[int, int, int], scale: float, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """The uint8 input of the net, and its pixels scaled."""
    image = keras.Input(shape, dtype="uint8", name="image")
    return image, layers.Rescaling(scale, offset)(image)


def conv_block(inputs: Tensor, filters: int, strides: int = 1) -> Tensor:
    """Convolution 3 x 3, batch normalisation, relu."""
    hidden = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(inputs)
    return layers.ReLU()(BatchNormalization()(hidden))


def residual_pair(inputs: Tensor, filters: int) -> Tensor:
    """Two blocks whose sum with their input goes on (He et al., arXiv:1512.03385)."""
    return layers.Add()([inputs, conv_block(conv_block(inputs, filters), filters)])


def residual_pairs(inputs: Tensor, filters: int, count: int) -> Tensor:
    """So many residual pairs, one behind the other."""
    hidden = inputs
    for _ in range(count):
        hidden = residual_pair(hidden, filters)
    return hidden


def both_pools(inputs: Tensor) -> Tensor:
    """Global maximum and mean side by side, in float32 whatever the net computes in."""
    pools = (layers.GlobalMaxPooling2D(dtype="float32"), layers.GlobalAveragePooling2D(dtype="float32"))
    return layers.Concatenate(dtype="float32")([pool(inputs) for pool in pools])


def classified(image: Tensor, hidden: Tensor, classes: int) -> keras.Model:
    """The net from `image` to a softmax over `hidden`, in float32 whatever the net computes in."""
    last = layers.Dense(classes, activation="softmax", name="probabilities", dtype="float32")
    return keras.Model(image, last(hidden))
