"""ServedModel: one version in memory.

Owns what a request needs of a version: signature, batcher, labels, preprocessing. Does not know requests or other
versions.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from serving.inference.batcher import Batcher
from serving.inference.labels import Labeller
from serving.inference.run_plan import RunPlan
from serving.inference.signature import Signature, Tensors
from serving.inference.waiting import NORMAL, Witness
from serving.repository.golden import GoldenResult
from serving.repository.manifest import Manifest


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ServedModel:
    """A version that was loaded and checked. `unbatched_reason` is "" if rows of several callers share runs."""

    name: str
    version: int
    manifest: Manifest
    labeller: Labeller | None
    golden: GoldenResult | None
    plan: RunPlan
    unbatched_reason: str
    load_seconds: float
    batcher: Batcher
    lanes: Sequence[Executor]

    @property
    def signature(self) -> Signature:
        """What `predict` takes and gives."""
        return self.batcher.signature

    @property
    def provider(self) -> str:
        """The onnxruntime execution provider that answers."""
        return self.plan.session.provider

    @property
    def intra_op_threads(self) -> int:
        """Threads of a run."""
        return self.plan.session.intra_op_threads

    @property
    def inline(self) -> bool:
        """Whether runs are so short that the event loop makes them all."""
        return not self.lanes

    async def predict(
        self, inputs: Tensors, deadline: float, priority: int = NORMAL, witness: Witness | None = None
    ) -> Tensors:
        """All outputs for checked `inputs`; raises as Batcher.run does."""
        return await self.batcher.run(inputs, deadline, priority, witness)

    async def close(self, drain_seconds: float) -> None:
        """Answer what waits, for at most `drain_seconds`, and let the model go."""
        await self.batcher.close(drain_seconds)
        for lane in self.lanes:
            lane.shutdown(wait=False)
