"""Learning rates over a run.

Owns the schedules that Keras lacks. Does not know optimizers.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="signet")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc] # Keras has no types
    """Linear from 0 up to `peak` over the first `warm_up` part of `steps`, then linear down to 0.

    After Smith, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018
    (arXiv:1708.07120).
    """

    def __init__(self, peak: float, steps: int, warm_up: float = 0.2) -> None:
        self.peak = peak
        self.steps = steps
        self.warm_up = warm_up

    def __call__(self, step: Any) -> Any:  # noqa: ANN401 - a tensor
        """The rate at `step`, from 0."""
        done = (ops.cast(step, "float32") + 1.0) / self.steps
        return self.peak * ops.maximum(ops.minimum(done / self.warm_up, (1.0 - done) / (1.0 - self.warm_up)), 0.0)

    def get_config(self) -> dict[str, Any]:
        """What a copy needs."""
        return {"peak": self.peak, "steps": self.steps, "warm_up": self.warm_up}
