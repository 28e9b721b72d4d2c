"""Which rows stand for a whole split: the golden rows of a package, the samples of a report.

Owns the choice. Does not know what the rows are.
"""

import numpy as np
from numpy.typing import NDArray


def spread_rows(truth: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """Choose up to `count` row indices, ascending, taking from the classes in turn; the same for the same truth."""
    turns = np.zeros(len(truth), dtype=np.int64)
    for label in np.unique(truth):
        mine = truth == label
        turns[mine] = np.arange(np.count_nonzero(mine))
    return np.sort(np.lexsort((truth, turns))[:count])
