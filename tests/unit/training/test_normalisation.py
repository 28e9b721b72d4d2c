import keras
import numpy as np
import pytest

from training.normalisation import BatchNormalization

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, (8, 5, 5, 4)).astype(np.float32)


def both(**changes):
    """Keras' layer and ours, built alike."""
    layers = keras.layers.BatchNormalization(**changes), BatchNormalization(**changes)
    for layer in layers:
        layer.build(IMAGES.shape)
        layer.gamma.assign([1.0, 2.0, 0.5, 1.5])
        layer.beta.assign([0.0, 1.0, -1.0, 0.5])
    return layers


def test_a_training_step_normalises_and_keeps_statistics_as_keras_does():
    theirs, ours = both(momentum=0.9)
    assert np.asarray(ours(IMAGES, training=True)) == pytest.approx(np.asarray(theirs(IMAGES, training=True)), abs=1e-5)
    for left, right in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        assert right == pytest.approx(left, abs=1e-5)


def test_inference_is_that_of_keras_to_the_last_bit():
    theirs, ours = both()
    assert np.asarray(ours(IMAGES)).tobytes() == np.asarray(theirs(IMAGES)).tobytes()


def test_a_layer_that_is_not_trained_keeps_its_statistics():
    _, ours = both()
    ours.trainable = False
    ours(IMAGES, training=True)
    assert ours.moving_mean.numpy().tolist() == [0.0] * 4


def test_in_bfloat16_its_statistics_are_float32():
    layer = BatchNormalization(dtype="mixed_bfloat16", momentum=0.0)
    outputs = layer(IMAGES, training=True)
    assert outputs.dtype.name == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    assert layer.moving_mean.numpy() == pytest.approx(IMAGES.mean(axis=(0, 1, 2)), rel=0.01)
