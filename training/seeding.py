"""One seed for Python, NumPy and TensorFlow.

Owns what it takes for the same seed to give the same weights on the same machine. Does not know what is drawn.
TensorFlow's op determinism stays off: it refuses max-pooling under XLA, and on a CPU the kernels in use are
deterministic without it, which a test holds.
"""

import keras


def seed_everything(seed: int) -> None:
    """Seed every generator of the process."""
    keras.utils.set_random_seed(seed)
