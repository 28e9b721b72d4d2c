"""ModelStatistics: what a version has answered since it was loaded, and how long that took.

Owns the translation of metrics and of a batcher's statistics into the protocol's message. Does not know who counts.
"""

from protos.inference import statistics_pb2
from protos.inference.statistics_pb2 import StatisticDuration
from serving.inference.statistics import Duration
from serving.metrics import Metrics
from serving.repository.repository import ModelRepository, ModelState
from serving.repository.served_model import ServedModel
from serving.rpc.methods import Call, Method, Methods
from serving.rpc.open_inference_parameters import version_number

INFERENCE_METHODS = frozenset(
    {"Predict", "PredictStream", "ModelInfer", "ModelStreamInfer", "Classify", "Regress", "MultiInference"}
)
"""Those of every protocol that end in a run; other methods are no inferences."""


class OpenInferenceStatistics:
    """Answers ModelStatistics."""

    def __init__(self, repository: ModelRepository, metrics: Metrics) -> None:
        self._repository = repository
        self._metrics = metrics

    @property
    def methods(self) -> Methods:
        """What the boundary wraps."""
        return (Method("ModelStatistics", statistics_pb2.ModelStatisticsRequest, self.model_statistics),)

    async def model_statistics(
        self,
        request: statistics_pb2.ModelStatisticsRequest,
        call: Call,  # noqa: ARG002 - they may be several models
    ) -> statistics_pb2.ModelStatisticsResponse:
        """The figures of the READY versions asked for: of one, of one model's, of all."""
        version = version_number(request.version)
        if request.name:
            # Raises for what cannot be answered.
            self._repository.get(request.name, version)
        chosen = (
            one.served
            for one in self._repository.statuses()
            if one.state is ModelState.READY
            and one.served is not None
            and request.name in {"", one.name}
            and version in {None, one.version}
        )
        return statistics_pb2.ModelStatisticsResponse(model_stats=map(self._figures, chosen))

    def _figures(self, model: ServedModel) -> statistics_pb2.ModelStatistics:
        success, fail = Duration(), Duration()
        for method, code, count, seconds in self._metrics.requests(model.name, str(model.version)):
            if method in INFERENCE_METHODS:
                total = success if code == "OK" else fail
                total.count += count
                total.seconds += seconds
        runs = model.batcher.statistics
        figures = statistics_pb2.ModelStatistics(
            name=model.name,
            version=str(model.version),
            last_inference=round(runs.last_run_time * 1000),
            inference_count=runs.rows,
            execution_count=runs.runs,
            inference_stats=statistics_pb2.InferStatistics(
                success=_duration(success),
                fail=_duration(fail),
                queue=_duration(Duration(*self._metrics.waits(model.name, str(model.version)))),
                **_computing(runs.callers),
            ),
        )
        for rows, total in sorted(runs.by_rows.items()):
            figures.batch_stats.add(batch_size=rows, **_computing(total))
        return figures


def _computing(total: Duration) -> dict[str, StatisticDuration]:
    """The three parts of runs, as often each, as perf_analyzer insists; to join and to divide rows is in the run."""
    none = StatisticDuration(count=total.count)
    return {"compute_input": none, "compute_infer": _duration(total), "compute_output": none}


def _duration(total: Duration) -> StatisticDuration:
    return StatisticDuration(count=total.count, ns=round(total.seconds * 1e9))
