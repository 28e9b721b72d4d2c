"""Batch normalisation whose training step is one kernel.

Owns that step. Does not know nets. Keras writes it as a chain of elementwise operations, each of which reads and writes
the whole activation: on a CPU a sixth of a residual net's time. Statistics, inference and export are Keras' own.
"""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="signet")
class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Keras' layer of that name over the last axis of [rows, height, width, channels], with scale and centre."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:  # noqa: ANN401, FBT001 - Keras'
        """Normalise, while training by the batch itself."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        inputs = tf.convert_to_tensor(inputs)
        none = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=none,
            variance=none,
            epsilon=self.epsilon,
            is_training=True,
        )
        values = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        # The kernel gives the unbiased variance; Keras keeps the biased one.
        for moving, seen in ((self.moving_mean, mean), (self.moving_variance, variance * (values - 1) / values)):
            moving.assign(moving * self.momentum + seen * (1.0 - self.momentum))
        return outputs
