"""Version labels, and the split of requests among them.

Owns which version a request without one goes to. Does not know which versions are READY, nor where labels are kept:
pure, but for the chance that decides where nothing else does.
"""

import hashlib
import math
import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from serving.errors import InvalidInput, ModelBroken, ModelNotFound

LABEL = re.compile(r"[A-Za-z0-9_]{1,64}")

WHOLE = 100.0
"""Percent."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The labels of one model's versions, and the percentages of the requests without a version that go to labels.

    What `split` leaves of 100 % is the rest: it goes to the highest READY version that no label of the split names.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    split: Mapping[str, float] = field(default_factory=dict)

    def version(self, model: str, label: str) -> int:
        """The version that has `label`; raises ModelNotFound."""
        version = self.labels.get(label)
        if version is None:
            known = f"; it has {', '.join(sorted(self.labels))}" if self.labels else ""
            raise ModelNotFound(f"model {model} has no version label {label[:128]!r}{known}")
        return version

    def labels_of(self, version: int) -> list[str]:
        """The labels of `version`, in order."""
        return sorted(label for label, labelled in self.labels.items() if labelled == version)

    def chosen(self, model: str, key: str) -> int | None:
        """The version for a request with this key, "" for one that has none; None for the rest.

        A key always gives the same, and keeps it when the share of the first label grows.
        """
        position = _position(model, key) if key else random.random() * WHOLE  # noqa: S311 - no secret
        for label in sorted(self.split):
            position -= self.split[label]
            if position < 0:
                return self.labels[label]
        return None

    def default(self, ready: Collection[int]) -> int | None:
        """Of the `ready` versions, the one that the rest goes to; if there is no rest, that of the greatest share."""
        in_split = {self.labels[label] for label in self.split}
        rest = [version for version in ready if version not in in_split]
        if rest and sum(self.split.values()) < WHOLE:
            return max(rest)
        shares = sorted(self.split, key=lambda label: (-self.split[label], label))
        return next((self.labels[one] for one in shares if self.labels[one] in ready), max(ready, default=None))

    def with_label(self, label: str, version: int) -> "Traffic":
        """The same with `label` on `version`, wherever it was; raises InvalidInput."""
        check_label(label)
        return replace(self, labels={**self.labels, label: version})

    def without_label(self, model: str, label: str) -> "Traffic":
        """The same without `label`; raises ModelNotFound, and ModelBroken for one that has requests."""
        self.version(model, label)
        if label in self.split:
            raise ModelBroken(f"label {label} has {self.split[label]:g} % of the requests to {model}; split them first")
        return replace(self, labels={name: version for name, version in self.labels.items() if name != label})

    def divided(self, model: str, split: Mapping[str, float]) -> "Traffic":
        """The same with another split; raises InvalidInput, and ModelNotFound for a label that is not there."""
        for label, percent in split.items():
            check_label(label)
            self.version(model, label)
            if not 0 <= percent <= WHOLE or math.isnan(percent):
                raise InvalidInput(f"split: {label}={percent:g} came; 0 to 100 percent was expected")
        if sum(split.values()) > WHOLE:
            raise InvalidInput(f"split: {sum(split.values()):g} percent came in all; at most 100 was expected")
        return replace(self, split=dict(split))


def check_label(label: str) -> None:
    """Raise InvalidInput for what cannot be a label."""
    if not LABEL.fullmatch(label):
        raise InvalidInput(f"label: {label[:128]!r} is no version label; 1 to 64 letters, digits and '_' were expected")


def _position(model: str, key: str) -> float:
    """Where a key stands among 0 to 100; of two models independently."""
    digest = hashlib.blake2b(f"{model}\n{key}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 * WHOLE
