"""`signet predict`: images or rows of features, labelled.

Owns what is printed for a row. Does not know flags' spelling.
"""

import argparse
from typing import Any

from serving.client.answers import Answer, Failure, RowPrediction
from serving.client.client import Client
from serving.client.encoding import Request
from serving.client.output import complain, print_json, print_line, print_table
from serving.errors import InvalidInput


def predict(client: Client, flags: argparse.Namespace) -> int:
    """Print an answer for each file or row, in their order; 1 if one of them failed, after the others."""
    source = "file" if flags.files else "row"
    names: list[Any] = list(map(str, flags.files)) if flags.files else list(range(len(flags.features)))
    inputs = flags.files or list(map(_row_of_features, flags.features))
    requests = [
        Request(flags.model, one, flags.version, flags.top_k, version_label=flags.version_label) for one in inputs
    ]
    # One stream: each file has its own outcome, and the next ones travel while the first is computed.
    answers = client.predict_stream(requests, timeout_seconds=flags.timeout_seconds * len(requests))
    failed = False
    answered = []
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, Failure):
            complain(f"{source} {name}: {answer.error}")
            failed = True
        elif flags.json:
            print_json({source: name, **_described(answer, flags.top_k)})
        else:
            answered.append((str(name), answer))
    if answered:
        _print_answers(source, answered)
    return int(failed)


def _row_of_features(pairs: list[tuple[str, float]]) -> dict[str, float]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise InvalidInput(f"--features: {', '.join(name for name, _ in pairs)} came; each name once was expected")
    return row


def _described(answer: Answer, top_k: int) -> dict[str, Any]:
    if not answer.predictions:
        return {"outputs": {name: array.tolist() for name, array in answer.outputs.items()}}
    row = answer.predictions[0]
    described: dict[str, Any] = {"label": row.label, "class_index": row.class_index, "score": row.score}
    if row.probability is not None:
        described |= {"probability": row.probability, "threshold": row.threshold}
    if top_k > 1:
        described["top"] = [{"label": one.label, "class_index": one.class_index, "score": one.score} for one in row.top]
    return described


def _print_answers(source: str, answered: list[tuple[str, Answer]]) -> None:
    if not answered[0][1].predictions:
        for name, answer in answered:
            for output, array in answer.outputs.items():
                print_line(f"{name}  {output} {list(array.shape)}: {array.tolist()}")
        return
    print_table((source, "label", "score", "then"), [_line(name, answer.predictions[0]) for name, answer in answered])


def _line(name: str, row: RowPrediction) -> tuple[str, str, str, str]:
    then = ", ".join(f"{one.label} {one.score:.4f}" for one in row.top if one.class_index != row.class_index)
    return name, row.label, f"{row.score:.4f}", then
