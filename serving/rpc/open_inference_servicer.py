"""inference.GRPCInferenceService, the Open Inference Protocol: ModelInfer, alone and in a stream, and the list of all.

Owns the way from a ModelInferRequest to a run. Does not know statuses, queues, or files; what the server tells of
itself and of its models, and the control over them, is in the modules beside it.
"""

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

from protos.inference import service_pb2
from protos.inference.tensors_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from serving.inference.inputs import check_finite
from serving.inference.waiting import NORMAL
from serving.metrics import Metrics
from serving.repository.repository import ModelRepository
from serving.repository.served_model import ServedModel
from serving.rpc.methods import Call, Methods, Run, RunMethod, StreamMethod
from serving.rpc.open_inference_control import OpenInferenceControl
from serving.rpc.open_inference_decoding import decode_inputs, is_heavy
from serving.rpc.open_inference_encoding import OpenInferenceEncoder
from serving.rpc.open_inference_metadata import OpenInferenceMetadata
from serving.rpc.open_inference_parameters import apply_timeout, priority_of, version_number
from serving.rpc.open_inference_statistics import OpenInferenceStatistics

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

FINAL_RESPONSE = "triton_final_response"
"""Said with each answer in a stream: there is one for each request."""


class OpenInferenceServicer:
    """Answers the whole service. `max_rows`: of a request; `is_serving`: whether the server is ready.

    Control RPCs are refused unless `allow_control`.
    """

    def __init__(
        self,
        repository: ModelRepository,
        metrics: Metrics,
        max_rows: int,
        is_serving: Callable[[], bool],
        *,
        allow_control: bool,
    ) -> None:
        self._repository = repository
        self._max_rows = max_rows
        self._others = (
            OpenInferenceMetadata(repository, max_rows, is_serving),
            OpenInferenceStatistics(repository, metrics),
            OpenInferenceControl(repository, allow_control=allow_control),
        )
        self._encoders: WeakKeyDictionary[ServedModel, OpenInferenceEncoder] = WeakKeyDictionary()
        self._infer = RunMethod("ModelInfer", ModelInferRequest, self.prepare, is_heavy)

    @property
    def methods(self) -> Methods:
        """What the boundary wraps."""
        stream = StreamMethod("ModelStreamInfer", ModelInferRequest, self.infer_in_stream, stream_error)
        return (self._infer, stream, *(method for other in self._others for method in other.methods))

    def prepare(self, request: ModelInferRequest, call: Call) -> Run:
        """What to run for one request; raises the errors of `serving.errors`."""
        call.request_id = request.id
        version = version_number(request.model_version)
        model = call.served = self._repository.get(request.model_name, version, key=call.key)
        priority = NORMAL
        if request.parameters:
            apply_timeout(request.parameters, call)
            priority = priority_of(request.parameters)
        encoder = self._encoder(model)
        wanted = encoder.wanted(request.outputs)
        inputs = decode_inputs(request, model.signature, self._max_rows)
        check_finite(inputs, model.manifest.preprocessing)
        finish = partial(encoder.encode, request_id=request.id, wanted=wanted, raw=bool(request.raw_input_contents))
        return Run(model, inputs, finish, priority)

    async def infer_in_stream(self, request: ModelInferRequest, call: Call) -> bytes:
        """Answer one request of a stream."""
        answer = ModelInferResponse.FromString(await self._infer.answer(request, call))
        answer.parameters[FINAL_RESPONSE].bool_param = True
        return ModelStreamInferResponse(infer_response=answer).SerializeToString()

    def _encoder(self, model: ServedModel) -> OpenInferenceEncoder:
        encoder = self._encoders.get(model)
        if encoder is None:
            encoder = self._encoders[model] = OpenInferenceEncoder(model)
        return encoder


def stream_error(request: ModelInferRequest | None, code: int, text: str) -> bytes:  # noqa: ARG001 - it has no place
    """The answer to a request of a stream that failed; `request` is None if it did not parse."""
    answer = ModelInferResponse(id=request.id if request else "")
    answer.parameters[FINAL_RESPONSE].bool_param = True
    return ModelStreamInferResponse(error_message=text, infer_response=answer).SerializeToString()
