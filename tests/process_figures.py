"""What a process holds, as Linux tells it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessFigures:
    """Resident memory in MiB, open descriptors, threads."""

    resident_mib: float
    descriptors: int
    threads: int


def process_figures(pid: int) -> ProcessFigures:
    """Of a process that runs."""
    folder = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text(encoding="utf-8").splitlines())
    return ProcessFigures(
        int(status["VmRSS"].split()[0]) / 1024, len(list((folder / "fd").iterdir())), int(status["Threads"])
    )
