"""A version's folder → ServedModel, or the reason why not.

Owns the order of the checks: manifest, checksums of what is read, sessions with their warm-up, proof of batching,
signature, golden outputs, labels; checksums of what only others read, beside those. Does not know other models, nor
states.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from serving.errors import ModelBroken
from serving.inference.batchable import PROOF_ROWS, unbatched_reason
from serving.inference.batcher import Batcher
from serving.inference.core_order import runner
from serving.inference.labels import Labeller, LabellingSession
from serving.inference.providers import CPU
from serving.inference.quiet import Quiet
from serving.inference.row_queue import RowQueue
from serving.inference.run_plan import RunPlan, plan_runs
from serving.inference.session import OnnxSession, Session, SessionError, SessionSettings, check_provider
from serving.inference.signature import Signature, Tensors
from serving.metrics import LoadFigures, Metrics
from serving.repository.golden import GOLDEN, GoldenResult, check_golden, read_golden
from serving.repository.manifest import (
    Manifest,
    bare_manifest,
    check_preprocessing,
    labeller,
    labels_beside,
    read_manifest,
)
from serving.repository.served_model import ServedModel

MANIFEST = "manifest.json"
MODEL = "model.onnx"

Contents = TypeVar("Contents")

HASHED_BYTES = 2 * 1024 * 1024
"""Hashed at a time: not the whole of a large file, and yet few waits for the interpreter's lock."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How versions are loaded. `measure_threads`: a model gets the threads of `session`, or one, by measurement.

    `cores`: those that this process may count on.
    """

    session: SessionSettings
    max_batch_rows: int
    queue_rows: int
    measure_threads: bool = False
    cores: int = 1


class Loader:
    """Loads versions for one server, all with the same settings; several at once, of which one is measured.

    `quiet` is for others who do what measuring would suffer from.
    """

    def __init__(self, settings: LoadSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self.quiet = Quiet()

    def load(self, folder: Path, name: str, version: int) -> ServedModel:
        """Load and check the version in `folder`; blocks.

        Raises ModelBroken with a reason fit for callers, ProviderUnavailable if the provider asked for cannot be had.
        """
        started = time.perf_counter()
        try:
            with runner(f"load-{name}-{version}", self._settings.cores) as loading:
                plan, reason, manifest, golden = loading.submit(self._open, folder, name, version).result()
        except SessionError as error:
            raise ModelBroken(f"{MODEL}: {error}") from error
        label_rows = labeller(manifest)
        count = 0 if plan.inline else plan.lanes
        lanes = [runner(f"run-{name}-{version}-{lane}", self._settings.cores) for lane in range(count)]
        queue = RowQueue(self._settings.max_batch_rows, self._settings.queue_rows, batched=not reason, lanes=plan.lanes)
        session = self._labelling(plan.session, manifest, label_rows)
        queue_metrics = self._metrics.queue(name, str(version))
        seconds = time.perf_counter() - started
        check = None if golden is None else (golden.max_abs_difference, golden.tolerance)
        figures = LoadFigures(seconds, plan.session.provider, plan.full_run_threads, self._settings.queue_rows, check)
        self._metrics.observe_load(name, str(version), figures)
        return ServedModel(
            name=name,
            version=version,
            manifest=manifest,
            labeller=label_rows,
            golden=golden,
            plan=plan,
            unbatched_reason=reason,
            load_seconds=seconds,
            batcher=Batcher(
                session, queue, lanes, queue_metrics, thread_rows=plan.thread_rows, cores=self._settings.cores
            ),
            lanes=lanes,
        )

    def _open(self, folder: Path, name: str, version: int) -> tuple[RunPlan, str, Manifest, GoldenResult | None]:
        """The session, why it cannot be batched, manifest and golden result."""
        if not (folder / MANIFEST).is_file():
            plan, reason = self._plan(str(folder / MODEL), None)
            return plan, reason, bare_manifest(name, version, plan.session.signature, labels_beside(folder)), None
        with self.quiet.disturbing():
            manifest = read_manifest(folder / MANIFEST)
            _check_identity(manifest, name, version)
        with ThreadPoolExecutor(1) as beside:
            rest = beside.submit(self._check_rest, folder, manifest)
            try:
                plan, reason, golden = self._open_package(folder, manifest)
            except (ModelBroken, SessionError):
                # A package that was copied in part is told so, whatever else is wrong with it.
                rest.result()
                raise
            rest.result()
        return plan, reason, manifest, golden

    def _open_package(self, folder: Path, manifest: Manifest) -> tuple[RunPlan, str, GoldenResult | None]:
        with self.quiet.disturbing():
            model = _checked_model(folder, manifest)
            _check_files(folder, manifest, manifest.files.keys() & {GOLDEN})
            inputs, outputs = ({}, {}) if manifest.golden is None else read_golden(folder)
        enough = bool(inputs) and all(array.ndim and len(array) >= PROOF_ROWS for array in inputs.values())
        rows = {name: array[:PROOF_ROWS] for name, array in inputs.items()} if enough else None
        plan, reason = self._plan(model, rows)
        _check_signature(manifest.signature, plan.session.signature)
        check_preprocessing(manifest)
        _check_class_indices_kept(folder, manifest)
        if manifest.golden is None:
            return plan, reason, None
        with self.quiet.disturbing():
            return plan, reason, check_golden(plan.session, manifest.golden, inputs, outputs)

    def _check_rest(self, folder: Path, manifest: Manifest) -> None:
        """What only others read of a package, often the larger part, while the model is opened."""
        with self.quiet.disturbing():
            _check_files(folder, manifest, [one for one in manifest.files if one != GOLDEN and not _is_of_model(one)])

    def _plan(self, model: bytes | str, rows: Tensors | None) -> tuple[RunPlan, str]:
        """How the model is run, and why not batched. `rows`: PROOF_ROWS that came with it; None for made-up ones."""
        settings = self._settings.session
        plan = plan_runs(
            lambda threads: OnnxSession.open(model, replace(settings, intra_op_threads=threads)),
            settings.intra_op_threads,
            self._settings.max_batch_rows,
            rows,
            measure=self._settings.measure_threads and check_provider(settings.provider) == CPU,
            quiet=self.quiet,
        )
        with self.quiet.disturbing():
            reason = unbatched_reason(plan.session, rows) or plan.full_run_failure
        return plan.unbatched() if reason else plan, reason

    def _labelling(self, session: Session, manifest: Manifest, labeller: Labeller | None) -> Session:
        if labeller is None:
            return session
        return LabellingSession(
            session, labeller, partial(self._metrics.count_predictions, manifest.model, str(manifest.version))
        )


def _check_identity(manifest: Manifest, name: str, version: int) -> None:
    if (manifest.model, manifest.version) != (name, version):
        raise ModelBroken(
            f"manifest.json is of {manifest.model} version {manifest.version}, its folder is {name} version {version}"
        )


def _is_of_model(file: str) -> bool:
    """Whether `file` is the model's, or holds weights of it."""
    return file == MODEL or file.startswith(f"{MODEL}.")


def _checked_model(folder: Path, manifest: Manifest) -> bytes | str:
    """The model's bytes, or its path if weights lie beside it, after the checksums of both were compared."""
    model = _read(folder, MODEL, Path.read_bytes)
    _compare(manifest, MODEL, hashlib.sha256(model))
    weights = [file for file in manifest.files if _is_of_model(file) and file != MODEL]
    _check_files(folder, manifest, weights)
    return str(folder / MODEL) if weights else model


def _check_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Raise ModelBroken unless these files are there with the manifest's checksums."""
    for name in names:
        _compare(manifest, name, _read(folder, name, _digest))


def _read(folder: Path, name: str, read: Callable[[Path], Contents]) -> Contents:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelBroken(f"{name} in manifest.json leads out of the package")
    try:
        return read(path)
    except OSError as error:
        raise ModelBroken(f"{name} is named in manifest.json but cannot be read") from error


def _compare(manifest: Manifest, name: str, digest: "hashlib._Hash") -> None:
    if digest.hexdigest() != manifest.files[name]:
        raise ModelBroken(f"{name}: the checksum differs from the manifest's")


def _digest(path: Path) -> "hashlib._Hash":
    digest = hashlib.sha256()
    # One buffer: fresh memory for each part would take as long as hashing it.
    part = memoryview(bytearray(HASHED_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(part):
            digest.update(part[:size])
    return digest


def _check_signature(stated: Signature, actual: Signature) -> None:
    for kind, want, got in (("inputs", stated.inputs, actual.inputs), ("outputs", stated.outputs, actual.outputs)):
        if want != got:
            raise ModelBroken(f"manifest.json states other {kind} ({_listed(want)}) than {MODEL} has ({_listed(got)})")


def _check_class_indices_kept(folder: Path, manifest: Manifest) -> None:
    """A new version must mean the same by each class index: clients keep them."""
    older = (int(path.parent.name) for path in folder.parent.glob(f"[1-9]*/{MANIFEST}") if path.parent.name.isdecimal())
    for version in sorted((version for version in older if version < manifest.version), reverse=True):
        try:
            kept = read_manifest(folder.parent / str(version) / MANIFEST).class_indices
        except ModelBroken:
            continue
        if kept != manifest.class_indices:
            raise ModelBroken(f"class_indices are {manifest.class_indices}, version {version} has {kept}")
        return


def _listed(specs: tuple[object, ...]) -> str:
    return ", ".join(map(str, specs))
