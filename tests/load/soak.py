"""`make soak`: mixed traffic for a long time, and whether the server grows under it.

    python -m tests.load.soak [--transport native] [--seconds 1200]

Prints a table and writes build/soak.json. Resident memory, descriptors and threads of the server are sampled all the
while; of each, the mean of the last twentieth may lie at most 10 % over that of the third twentieth (of 20 minutes:
the last minute, the third); of threads, those that are left after a rest. Ends with 1 if one lies higher or if an
answer was not what it must be.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from serving.rpc.transport import CAPABILITIES
from tests.contract.serving_process import serving
from tests.load.soak_traffic import Traffic, put_models
from tests.process_figures import ProcessFigures, process_figures

RESULT = Path("build") / "soak.json"
SECONDS = 1200.0
SAMPLES = 400
GROWTH = 0.10
LOOK_SECONDS = 0.5
FIGURES = ("resident_mib", "descriptors", "threads")

REST_SECONDS = 40.0
"""How long threads may stay once there is no traffic: the pool of grpc.aio (named event_engine) begins with four, takes
another when all are held up, and gives it up after 20 s without work."""


@dataclass(frozen=True)
class Growth:
    """The mean of a figure after the start and at the end."""

    before: float
    after: float

    @property
    def share(self) -> float:
        """Of `before`; negative where it shrank."""
        return self.after / self.before - 1


@dataclass(frozen=True)
class Soak:
    """What came of it. `samples` at equal intervals, `rested` later; `outcomes` by kind of traffic and what came."""

    transport: str
    seconds: float
    samples: list[ProcessFigures]
    rested: ProcessFigures
    outcomes: dict[str, int]
    unexpected: dict[str, int]

    def growth(self, figure: str) -> Growth:
        """The third twentieth of the samples against the last; of threads, against what is left after a rest."""
        values = [getattr(sample, figure) for sample in self.samples]
        twentieth = max(1, len(values) // 20)
        last = [self.rested.threads] if figure == "threads" else values[len(values) - twentieth :]
        return Growth(statistics.mean(values[2 * twentieth : 3 * twentieth]), statistics.mean(last))

    @property
    def complaints(self) -> list[str]:
        """What was not as it must be, in sentences."""
        grown = [(name, self.growth(name)) for name in FIGURES]
        return [
            f"{name}: {one.before:.1f} to {one.after:.1f}, {one.share:+.1%}; less than {GROWTH:.0%} was expected"
            for name, one in grown
            if one.share >= GROWTH
        ] + [f"{what} came {count} times" for what, count in self.unexpected.items()]


def main() -> None:
    """Run the soak."""
    parser = argparse.ArgumentParser(prog="soak", description="Serve mixed traffic and see whether the server grows.")
    parser.add_argument("--transport", choices=sorted(CAPABILITIES), default="native", help="default: native")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"default: {SECONDS:.0f}")
    flags = parser.parse_args()
    result = soak(flags.transport, flags.seconds)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(told(result), indent=2) + "\n", encoding="utf-8")
    _print(result)
    sys.exit(1 if result.complaints else 0)


def soak(transport: str, seconds: float) -> Soak:
    """Serve tiny models in a process of its own, and send it the mixed traffic for so long."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        put_models(Path(folder))
        with serving(Path(folder), "--transport", transport) as (process, port):
            assert process.stderr
            reader = threading.Thread(target=_read, args=[process.stderr], daemon=True)
            reader.start()
            traffic = Traffic(f"127.0.0.1:{port}", seconds)
            sending = threading.Thread(target=traffic.run)
            sending.start()
            samples = []
            started = time.monotonic()
            while sending.is_alive():
                samples.append(process_figures(process.pid))
                sending.join(max(0, started + len(samples) * seconds / SAMPLES - time.monotonic()))
            rested = _rested(process.pid, samples[len(samples) // 8].threads)
            process.terminate()
            code = process.wait()
            reader.join()
    outcomes = {f"{kind}: {what}": count for (kind, what), count in sorted(traffic.outcomes.items())}
    unexpected = traffic.unexpected() | ({f"the exit code {code}": 1} if code else {})
    return Soak(transport, seconds, samples, rested, outcomes, unexpected)


def _rested(pid: int, threads: int) -> ProcessFigures:
    """The process once it has at most so many threads again, or has had the time for it."""
    until = time.monotonic() + REST_SECONDS
    while (figures := process_figures(pid)).threads > threads and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return figures


def told(result: Soak) -> dict[str, Any]:
    """What build/soak.json holds."""
    growths = {name: result.growth(name) for name in FIGURES}
    return {
        "transport": result.transport,
        "seconds": result.seconds,
        "growth": {name: asdict(one) | {"share": round(one.share, 4)} for name, one in growths.items()},
        "outcomes": result.outcomes,
        "complaints": result.complaints,
        "samples": [asdict(sample) for sample in result.samples],
        "rested": asdict(result.rested),
    }


def _read(log: TextIO) -> None:
    for _ in log:
        continue


def _print(result: Soak) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(
        "", title=f"{result.transport}, {result.seconds:.0f} s, {sum(result.outcomes.values()):,} calls and streams"
    )
    for heading in ("third twentieth", "last twentieth, threads rested", "growth"):
        table.add_column(heading, justify="right")
    for name in FIGURES:
        one = result.growth(name)
        table.add_row(
            name, f"{one.before:.1f}", f"{one.after:.1f}", f"{one.share:+.1%}", end_section=name == FIGURES[-1]
        )
    for what, count in result.outcomes.items():
        table.add_row(what, "", f"{count:,}", "")
    console.print(table)
    for complaint in result.complaints:
        console.print(f"soak: {complaint}")


if __name__ == "__main__":
    main()
