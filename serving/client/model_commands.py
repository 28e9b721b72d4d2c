"""`signet models`, `labels` and `health`: what the server has, and the control over it.

Owns what is printed of a version. Does not know flags' spelling.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from serving.client.answers import ImagePreprocessing, ModelDetails, ModelStatus, RunPlan, Traffic
from serving.client.client import Client
from serving.client.output import print_json, print_line, print_table
from serving.errors import InvalidInput


def list_models(client: Client, flags: argparse.Namespace) -> int:
    """Print every version and its state."""
    return _print_statuses(client.models(), flags)


def show_model(client: Client, flags: argparse.Namespace) -> int:
    """Print all about one version."""
    details = client.model(flags.model, flags.version)
    if flags.json:
        print_json(asdict(details))
        return 0
    pairs = list(_facts(details))
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        print_line(f"{name.ljust(width)}  {value}")
    return 0


def load_model(client: Client, flags: argparse.Namespace) -> int:
    """Make a version READY and print its status."""
    return _print_statuses([client.load_model(flags.model, flags.version, policy=flags.policy)], flags)


def unload_model(client: Client, flags: argparse.Namespace) -> int:
    """Drain versions and print their statuses."""
    return _print_statuses(client.unload_model(flags.model, flags.version), flags)


def label_version(client: Client, flags: argparse.Namespace) -> int:
    """Move a label to a version, or remove it, and print what labels and split the model has then."""
    if flags.remove == (flags.version is not None):
        raise InvalidInput("models label: either a VERSION or --remove was expected")
    if flags.remove:
        return _print_traffic(client.remove_label(flags.model, flags.label), flags)
    return _print_traffic(client.set_label(flags.model, flags.label, flags.version), flags)


def split_traffic(client: Client, flags: argparse.Namespace) -> int:
    """Share out requests among labels, and print what labels and split the model has then."""
    if flags.remove == bool(flags.percent):
        raise InvalidInput("models split: either LABEL=PERCENT or --remove was expected")
    return _print_traffic(client.set_split(flags.model, dict(flags.percent)), flags)


def labels(client: Client, flags: argparse.Namespace) -> int:
    """Print a model's labels by class index; as JSON, its class_indices."""
    details = client.model(flags.model, flags.version)
    if not details.class_indices:
        status = details.status
        raise InvalidInput(f"model {status.model} version {status.version} is {status.state} and has no labels")
    if flags.json:
        print_json({label: details.class_indices[label] for label in details.labels})
    else:
        print_table(("index", "label"), [(str(details.class_indices[label]), label) for label in details.labels])
    return 0


def health(client: Client, flags: argparse.Namespace) -> int:
    """Print SERVING or NOT_SERVING; 0 or 1."""
    serving = client.health(flags.model)
    state = "SERVING" if serving else "NOT_SERVING"
    if flags.json:
        print_json({"model": flags.model, "status": state} if flags.model else {"status": state})
    else:
        print_line(state)
    return 0 if serving else 1


def _print_traffic(traffic: Traffic, flags: argparse.Namespace) -> int:
    if flags.json:
        print_json(asdict(traffic))
        return 0
    rows = [(one, str(traffic.labels[one]), _percent(traffic.split.get(one))) for one in sorted(traffic.labels)]
    print_table(("label", "version", "requests"), rows)
    return 0


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:g} %"


def _print_statuses(statuses: Iterable[ModelStatus], flags: argparse.Namespace) -> int:
    if flags.json:
        for status in statuses:
            print_json(asdict(status))
        return 0
    rows = [
        (
            one.model,
            str(one.version),
            one.state,
            "yes" if one.is_default else "",
            ", ".join(one.labels),
            _percent(one.split_percent or None),
            one.reason,
        )
        for one in statuses
    ]
    print_table(("model", "version", "state", "default", "labels", "split", "reason"), rows)
    return 0


def _facts(details: ModelDetails) -> Iterator[tuple[str, str]]:
    """What there is to say of a version, by name; what is unknown is left out."""
    status = details.status
    yield "model", f"{status.model} version {status.version}{', the default' if status.is_default else ''}"
    if status.labels:
        share = f", {status.split_percent:g} % of the requests" if status.split_percent else ""
        yield "version labels", f"{', '.join(status.labels)}{share}"
    yield "state", f"{status.state}{f': {status.reason}' if status.reason else ''}"
    if details.created:
        yield "trained", f"{details.created}, task {details.task}, recipe {details.recipe}"
    yield from (("input", str(spec)) for spec in details.inputs)
    yield from (("output", str(spec)) for spec in details.outputs)
    to = details.preprocessing
    if isinstance(to, ImagePreprocessing):
        yield "images", f"{to.width} x {to.height} pixels, {to.color_mode}; other sizes: {to.other_size}"
    elif to is not None:
        for one in to.features:
            yield "feature", f"{one.name}, trained on {one.minimum:g} to {one.maximum:g}"
    if details.class_indices:
        yield "labels", ", ".join(details.labels)
    if details.decision is not None:
        threshold = details.decision.threshold
        yield "decision", details.decision.kind + ("" if threshold is None else f", threshold {threshold:g}")
    yield from (("metric", f"{name} {value:g}") for name, value in details.metrics.items())
    yield from _service_facts(details)


def _service_facts(details: ModelDetails) -> Iterator[tuple[str, str]]:
    """How the server runs it."""
    if details.provider:
        yield "runs on", f"{details.provider}, {_threads(details)}"
        yield from _run_facts(details)
        yield "batched", f"no: {details.unbatched_reason}" if details.unbatched_reason else "yes"
        yield "load time", f"{details.load_seconds:.3f} s"
    if details.golden is not None:
        golden = details.golden
        yield "golden", f"{golden.rows} rows within {golden.max_abs_difference:.2g}, {golden.tolerance:g} allowed"


def _threads(details: ModelDetails) -> str:
    few = details.intra_op_threads
    full = details.runs.full_run_intra_op_threads if details.runs else few
    return f"{few} thread{'s' if few > 1 else ''}{f', {full} for long runs' if full != few else ''}"


def _run_facts(details: ModelDetails) -> Iterator[tuple[str, str]]:
    """What one run takes."""
    runs = details.runs
    if runs is None:
        return
    for rows, seconds in ((1, runs.one_row_seconds), (runs.max_batch_rows, runs.full_run_seconds)):
        if seconds is not None:
            yield "run time", f"{seconds * 1e3:.3g} ms for {rows} row{'s' if rows > 1 else ''}"
    yield "runs in", _place(runs)


def _place(runs: RunPlan) -> str:
    if runs.inline:
        return "the event loop"
    return f"threads of its own{f', below {runs.thread_rows} rows the event loop' if runs.thread_rows > 1 else ''}"
