"""What the client hands back: frozen dataclasses.

Owns their names and fields. Does not know messages, channels, nor how an answer was asked for.
"""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from serving.errors import ServingError


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of a row's best."""

    label: str
    class_index: int
    score: float


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """The answer for one row.

    `top`: the best classes by falling score, as many as top_k. `scores`: by class index, empty unless asked for.
    `probability` of class 1 and the `threshold` that decided: sigmoid models alone.
    """

    label: str
    class_index: int
    score: float
    top: tuple[ClassScore, ...] = ()
    scores: tuple[float, ...] = ()
    probability: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to one request.

    `version` is the one that answered. `predictions`: one for each row, in the order sent; empty for a model without
    labels. `outputs`: the model's raw outputs by name, if asked for or if there are no labels.
    """

    model: str
    version: int
    id: str
    predictions: tuple[RowPrediction, ...]
    outputs: dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer to a request of a stream that failed: its `id`, and the error that `predict` would have raised."""

    id: str
    error: ServingError


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One version on the server. `state`: LOADING, READY, UNLOADING, GONE or FAILED, the last with its `reason`.

    `labels` point to it; `split_percent` of the requests without a version go to them.
    """

    model: str
    version: int
    state: str
    reason: str
    is_default: bool
    labels: tuple[str, ...] = ()
    split_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Where the requests to a model go: its `labels` with their versions, and the percentages of `split` by label."""

    labels: dict[str, int]
    split: dict[str, float]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. In `shape`, -1 is a free dimension; axis 0 is rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Decision:
    """How a label is decided: `kind` argmax, or sigmoid with the `threshold` from which on it is class 1."""

    kind: str
    threshold: float | None


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """What the model's image input takes and what the server does with other images. Sizes in pixels."""

    input: str
    height: int
    width: int
    color_mode: str
    other_size: str
    alpha_background: int
    exif_orientation: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """A named number and the range that training saw."""

    name: str
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class FeaturePreprocessing:
    """The named features that fill the model's input, in the order of its columns."""

    input: str
    features: tuple[Feature, ...]


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How far the served model's outputs were from those that training recorded."""

    rows: int
    max_abs_difference: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How the server runs a version, by what it measured at load; None where the model failed on the rows at hand.

    A full run has `max_batch_rows`. Runs of fewer than `thread_rows` are so short that the event loop makes them,
    unless a thread is at work; `inline`: all are.
    """

    max_batch_rows: int
    full_run_intra_op_threads: int
    inline: bool
    one_row_seconds: float | None
    full_run_seconds: float | None
    thread_rows: int


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """All about one version; of one that is not READY, `status` alone is filled.

    `metrics` were measured on the test split by training; `created` is RFC 3339; `unbatched_reason` is empty where
    rows of several callers share a run.
    """

    status: ModelStatus
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    class_indices: dict[str, int]
    decision: Decision | None
    preprocessing: ImagePreprocessing | FeaturePreprocessing | None
    metrics: dict[str, float]
    provider: str
    intra_op_threads: int
    runs: RunPlan | None
    golden: GoldenResult | None
    batched: bool
    unbatched_reason: str
    task: str
    recipe: str
    created: str
    load_seconds: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by class index; empty for a model without labels."""
        return tuple(sorted(self.class_indices, key=self.class_indices.__getitem__))
