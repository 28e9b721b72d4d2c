"""`make others`: models that other people made, served bare and asked; every answer beside onnxruntime's in-process.

Owns the order, the table and the list of what does not agree. Exits 1 if an answer differs from what onnxruntime gives
for the same bytes, or, where outputs came with the model, from those.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import onnx

from serving.logs import configure_logs
from serving.rpc.transport import CAPABILITIES
from tests.others.answers import CannotLoad, CannotRun, Question, Value, differs_from_itself, run_in_process
from tests.others.asking import ask
from tests.others.light_models import light_models
from tests.others.node_cases import node_cases, question, why_not, with_free_rows
from tests.others.package_models import install, package_models

Expected = list[tuple[Question, dict[str, Value]]]

CALLERS = 6
"""At once, for models that may be batched."""


def main() -> int:
    """Ask all; print the table; 1 if an answer differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--transport", choices=sorted(CAPABILITIES), action="append", help="each of them if not given")
    parser.add_argument("--only", choices=["nodes", "light", "packages"], action="append", help="all if not given")
    flags = parser.parse_args()
    configure_logs("console", "error")
    table = Table(flags.transport or sorted(CAPABILITIES))
    only = flags.only or ["nodes", "light", "packages"]
    if "nodes" in only:
        _nodes(table)
    if "light" in only:
        _light(table)
    if "packages" in only:
        install()
        table.ask("Models of PyPI packages, questions to them", _answered(package_models(), Counter()))
    table.show()
    return 0 if table.agrees else 1


class Table:
    """What was asked on each transport, and how much of it agrees; disagreements are printed as they come."""

    def __init__(self, transports: Sequence[str]) -> None:
        self._transports = transports
        self._agreeing: dict[str, Counter[str]] = {}
        self.agrees = True

    def ask(self, row: str, expected: Expected, callers: int = 1) -> None:
        """Ask all, into the row of that name."""
        counted = self._agreeing.setdefault(row, Counter())
        counted["asked"] += len(expected)
        for transport in self._transports:
            for one, reason, batched in ask(expected, transport, callers):
                counted[transport] += not reason
                counted[f"batched on {transport}"] += batched
                if reason:
                    self.agrees = False
                    print(f"  {one.name} on {transport}: {reason}", flush=True)

    def show(self) -> None:
        """In Markdown."""
        print(f"| | asked | {' | '.join(f'agree on {one}' for one in self._transports)} | batched |")
        print(f"|---|--:|{'--:|' * (len(self._transports) + 1)}")
        for row, counted in self._agreeing.items():
            agreeing = " | ".join(f"{counted[one]:,}" for one in self._transports)
            print(f"| {row} | {counted['asked']:,} | {agreeing} | {counted[f'batched on {self._transports[0]}']:,} |")


def _nodes(table: Table) -> None:
    reasons: Counter[str] = Counter()
    cases = []
    for case in node_cases():
        if reason := why_not(case):
            reasons[reason] += 1
        else:
            cases.append(case)
    expected = _answered(map(question, cases), reasons)
    print(f"node cases of onnx {onnx.__version__}: {len(node_cases()):,}")
    for reason, count in reasons.most_common():
        print(f"  not asked, {reason}: {count}")
    table.ask("Node cases", expected)
    free = _answered(filter(None, map(with_free_rows, cases)), Counter())
    table.ask(f"The same with free rows, {CALLERS} callers at once", free, CALLERS)


def _light(table: Table) -> None:
    for recorded in light_models():
        answer = run_in_process(recorded.question)
        if reason := recorded.differs(answer):
            table.agrees = False
            print(f"  {recorded.question.name}: onnxruntime gives {reason}")
        table.ask("Light models (AlexNet, VGG-19, Inception, ResNet-50, ...)", [(recorded.question, answer)])


def _answered(questions: Iterable[Question], reasons: "Counter[str]") -> Expected:
    """The questions that onnxruntime answers here, the same each time; why the others are left out is counted."""
    expected = []
    for one in questions:
        try:
            answer = run_in_process(one)
        except CannotLoad:
            reasons["onnxruntime cannot load it"] += 1
        except CannotRun:
            reasons["onnxruntime fails on the recorded inputs"] += 1
        else:
            if differs_from_itself(one):
                reasons["drawn at random: runs of onnxruntime differ"] += 1
            else:
                expected.append((one, answer))
    return expected


if __name__ == "__main__":
    sys.exit(main())
