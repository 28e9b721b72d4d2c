"""perf_analyzer, Triton's load generator, in the modes that its users have: unary, batches, streams, rates.

PERF_ANALYZER names another command than that of this environment, for instance one behind a newer loader. Nothing of
this project is imported here.
"""
# requirements: perf-analyzer==2.60.0
# needs glibc 2.38

import os
import shlex
import subprocess
import sys
from pathlib import Path

SECONDS = 60
REQUESTS = 400

MODES = {
    "one caller": ["-m", "letters"],
    "batches of 8 rows, 4 callers": ["-m", "letters", "-b", "8", "--concurrency-range", "4"],
    "asynchronous, 16 in flight": ["-m", "letters", "--async", "--concurrency-range", "16"],
    "a stream": ["-m", "letters", "--streaming", "--async", "--concurrency-range", "4"],
    "two inputs": ["-m", "pairs"],
    "texts": ["-m", "identity_bytes"],
    "images at 200 calls a second": ["-m", "shades", "--request-rate-range", "200"],
}


def main() -> None:
    """Each mode, so many requests."""
    command = shlex.split(os.environ.get("PERF_ANALYZER", str(Path(sys.executable).with_name("perf_analyzer"))))
    for what, flags in MODES.items():
        arguments = ["-i", "grpc", "-u", sys.argv[1], "--request-count", str(REQUESTS), *flags]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
        lines = [line.strip() for line in done.stdout.splitlines()]
        # The second count is the server's own, out of ModelStatistics.
        counted = [line for line in lines if line.startswith(("Request count:", "Successful request count:"))]
        if done.returncode or len(counted) != 2:
            sys.exit(f"{what}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        print(f"  {what}")


main()
