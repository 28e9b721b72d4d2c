"""What is examined: a server and the identity models on it.

Owns how identity models are found and told apart, how requests to them are made, and when an answer is the request
again. Does not know which promises there are.

An identity model answers each input unchanged: as many outputs as inputs, in their order, datatypes and shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from protos.inference import metadata_pb2, tensors_pb2
from serving.client.conformance import tensor_forms
from serving.client.conformance.check import BrokenPromise, NotTried
from serving.client.conformance.target import Reply, Target
from serving.client.conformance.tensor_forms import DATATYPES, Unreadable

Form = Literal["raw", "typed"]
Arrays = dict[str, NDArray[Any]]
InferReply = Reply[tensors_pb2.ModelInferResponse]

FREE_DIMENSION = 2
"""How long a free dimension that is not rows is made."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output as metadata tells it; -1 is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IdentityModel:
    """A model whose output i is its input i."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def takes_rows(self) -> bool:
        """Whether axis 0 of every input is free."""
        return all(spec.shape[:1] == (-1,) for spec in self.inputs)

    @property
    def has_typed_form(self) -> bool:
        """Whether every input's datatype has typed contents."""
        return all(DATATYPES[spec.datatype].field for spec in self.inputs)

    def arrays(self, rows: int = 2, seed: int = 0) -> Arrays:
        """Values for each input, by name; `rows` counts where axis 0 is free."""
        return {
            spec.name: tensor_forms.values(spec.datatype, _filled(spec.shape, rows), seed + index)
            for index, spec in enumerate(self.inputs)
        }

    def request(
        self, arrays: Arrays, form: Form = "raw", *, model_version: str = "", request_id: str = ""
    ) -> tensors_pb2.ModelInferRequest:
        """A request with these inputs, in their order."""
        datatypes = {spec.name: spec.datatype for spec in self.inputs}
        request = tensors_pb2.ModelInferRequest(model_name=self.name, model_version=model_version, id=request_id)
        for name, array in arrays.items():
            tensor = request.inputs.add(name=name, datatype=datatypes[name], shape=array.shape)
            if form == "raw":
                request.raw_input_contents.append(tensor_forms.to_raw(array))
            else:
                tensor.contents.CopyFrom(tensor_forms.to_typed(array, datatypes[name]))
        return request


class Subject:
    """The server under test and its identity models. `names`: the models to look for, the first being the main one."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        self.target = target
        self.name = names[0]
        self._names = [*names, *(f"{names[0]}_{datatype.lower()}" for datatype in DATATYPES)]
        self._models: dict[str, IdentityModel] = {}
        self.versions: tuple[str, ...] = ()

    def find_models(self) -> None:
        """Ask for the metadata of every model that may be there; what is no identity model is left out."""
        for name in self._names:
            self.target.start_clock()
            reply = self.metadata(name)
            model = _identity_model(name, reply.message) if reply.message is not None else None
            if model is not None:
                self._models[name] = model
        if self.name in self._models:
            self.versions = self.main.versions or self._answered_version()

    @property
    def main(self) -> IdentityModel:
        """The main model; raises NotTried if there is none."""
        if self.name not in self._models:
            raise NotTried(f"by its metadata, {self.name!r} is no identity model")
        return self._models[self.name]

    def with_datatype(self, datatype: str) -> IdentityModel:
        """A model with such an input, one with no other if there is one; raises NotTried for none."""
        found = [model for model in self._models.values() if datatype in {spec.datatype for spec in model.inputs}]
        if not found:
            raise NotTried(f"no model takes {datatype}: {self.name}_{datatype.lower()} was looked for")
        return min(found, key=lambda model: len(model.inputs))

    def typed(self) -> IdentityModel:
        """The main model, or another, of which every input has a typed form."""
        for model in (self.main, *self._models.values()):
            if model.has_typed_form:
                return model
        raise NotTried("no model has datatypes with typed contents alone")

    def with_several_inputs(self) -> IdentityModel:
        """A model with two inputs or more."""
        for model in self._models.values():
            if len(model.inputs) > 1:
                return model
        raise NotTried("no model has two inputs")

    def _answered_version(self) -> tuple[str, ...]:
        """Metadata need not list versions; a server that names one in its answers has them all the same."""
        self.target.start_clock()
        answer = self.infer(self.main.request(self.main.arrays())).message
        return (answer.model_version,) if answer is not None and answer.model_version else ()

    def metadata(self, name: str, version: str = "") -> Reply[metadata_pb2.ModelMetadataResponse]:
        """Call ModelMetadata."""
        request = metadata_pb2.ModelMetadataRequest(name=name, version=version)
        return self.target.call("ModelMetadata", request, metadata_pb2.ModelMetadataResponse)

    def ready(self, name: str, version: str = "") -> Reply[metadata_pb2.ModelReadyResponse]:
        """Call ModelReady."""
        request = metadata_pb2.ModelReadyRequest(name=name, version=version)
        return self.target.call("ModelReady", request, metadata_pb2.ModelReadyResponse)

    def infer(self, request: tensors_pb2.ModelInferRequest) -> InferReply:
        """Call ModelInfer."""
        return self.target.call("ModelInfer", request, tensors_pb2.ModelInferResponse)

    def expect_answer(self, model: IdentityModel, seed: int = 0, form: Form = "raw") -> None:
        """Ask `model` and compare: the server works."""
        arrays = model.arrays(seed=seed)
        expect_equal(self.infer(model.request(arrays, form)), model, arrays)


def outputs_of(reply: InferReply) -> Arrays:
    """The outputs by name, whichever form they came in; raises BrokenPromise where they do not hold together."""
    answer = reply.ok()
    raw = list(answer.raw_output_contents)
    if raw and len(raw) != len(answer.outputs):
        raise reply.broken(f"raw contents of {len(answer.outputs)} outputs")
    arrays: Arrays = {}
    for index, output in enumerate(answer.outputs):
        shape = tuple(output.shape)
        try:
            arrays[output.name] = (
                tensor_forms.from_raw(raw[index], output.datatype, shape)
                if raw
                else tensor_forms.from_typed(output.contents, output.datatype, shape)
            )
        except Unreadable as error:
            raise reply.broken(f"contents that fit the shape; output {output.name!r} has {error}") from error
    return arrays


def expect_equal(reply: InferReply, model: IdentityModel, arrays: Arrays) -> None:
    """Raises BrokenPromise unless each output is its input, in name, datatype, shape and every element."""
    outputs = outputs_of(reply)
    answered = {output.name: output.datatype for output in reply.ok().outputs}
    for given, asked in zip(model.inputs, model.outputs, strict=True):
        if asked.name not in outputs:
            raise reply.broken(f"an output {asked.name!r}")
        if answered[asked.name] != asked.datatype:
            raise reply.broken(f"{asked.name!r} as {asked.datatype}, as its metadata say")
        if not tensor_forms.equal(outputs[asked.name], arrays[given.name]):
            raise reply.broken(f"{asked.name!r} equal to {given.name!r}, {_some(arrays[given.name])}")


def broken_if(reply: Reply[Any], wrong: object, expected: str) -> None:
    """Raise BrokenPromise if `wrong`."""
    if wrong:
        raise BrokenPromise(reply.sent, reply.came, expected)


def _identity_model(name: str, metadata: metadata_pb2.ModelMetadataResponse) -> IdentityModel | None:
    inputs, outputs = (
        tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)
        for tensors in (metadata.inputs, metadata.outputs)
    )
    known = all(spec.datatype in DATATYPES for spec in inputs)
    if not inputs or not known or [spec.datatype for spec in inputs] != [spec.datatype for spec in outputs]:
        return None
    return IdentityModel(name, tuple(metadata.versions), inputs, outputs)


def _filled(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    return tuple(length if length >= 0 else rows if axis == 0 else FREE_DIMENSION for axis, length in enumerate(shape))


def _some(array: NDArray[Any]) -> str:
    first = array.reshape(-1)[:8].tolist()
    return f"{list(array.shape)} of {first}"[:200]
