"""Which versions of a model should be READY.

Owns the policies and their spelling. Does not know disks, states, nor who asks: pure.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

EXPECTED = "latest, latest:N, all or specific:N,N"

_SPELLING = re.compile(
    r"(?P<latest>latest)(:(?P<count>[1-9][0-9]{0,5}))?|(?P<all>all)|specific:(?P<numbers>[1-9][0-9]{0,17}(,[1-9][0-9]{0,17})*)"
)


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """`latest`: the `count` highest; `all`: every one; `specific`: those of `numbers` that are there."""

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    numbers: frozenset[int] = frozenset()

    def wanted(self, versions: Collection[int]) -> frozenset[int]:
        """Those of `versions`, which can be loaded, that should be READY."""
        if self.kind == "latest":
            return frozenset(sorted(versions)[-self.count :])
        return frozenset(versions) if self.kind == "all" else self.numbers.intersection(versions)

    def __str__(self) -> str:
        if self.kind == "latest":
            return "latest" if self.count == 1 else f"latest:{self.count}"
        return "all" if self.kind == "all" else f"specific:{','.join(map(str, sorted(self.numbers)))}"


def parse_policy(text: str) -> VersionPolicy:
    """The policy that is spelled so; raises ValueError."""
    found = _SPELLING.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:64]!r} came; {EXPECTED} was expected")
    if found["latest"]:
        return VersionPolicy("latest", int(found["count"] or 1))
    if found["all"]:
        return VersionPolicy("all")
    return VersionPolicy("specific", numbers=frozenset(map(int, found["numbers"].split(","))))
