"""protos/REFERENCE.md is what `make reference` writes, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_reference_is_what_the_protos_say():
    command = [sys.executable, "deploy/proto_reference.py", "--check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_each_type_that_is_linked_has_its_place():
    page = (ROOT / "protos/REFERENCE.md").read_text("utf-8")
    assert set(re.findall(r"\(#(.+?)\)", page)) <= set(re.findall(r'id="(.+?)"', page))
