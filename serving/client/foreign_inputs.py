"""Tables and pictures of other libraries, told by what they can do: pandas' and polars' DataFrame, PIL's Image.

Owns their shape and their way to numbers and bytes. Imports none of those libraries and does not know requests.
"""

import io
from collections.abc import Iterator
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from serving.errors import InvalidInput

PNG_MODE_OF = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
"""Modes of 8 bits a channel that no PNG file has, and what holds the same picture."""


@runtime_checkable
class Frame(Protocol):
    """A table of named columns: each is a feature, each row a row."""

    @property
    def columns(self) -> Any:  # noqa: ANN401 - each library has its own type
        """The names."""
        ...

    def __getitem__(self, key: Any, /) -> Any:  # noqa: ANN401
        """A column."""
        ...

    def to_numpy(self) -> Any:  # noqa: ANN401
        """All of it; what tells a table from a mapping."""
        ...


@runtime_checkable
class Picture(Protocol):
    """A picture in memory."""

    @property
    def mode(self) -> str:
        """How its pixels are stored."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def getexif(self) -> Any:  # noqa: ANN401
        """What the camera noted, the orientation among it."""
        ...

    def convert(self, mode: Any, /) -> Any:  # noqa: ANN401
        """The same in another mode."""
        ...

    def save(self, fp: Any, format: Any = None, **params: Any) -> None:  # noqa: A002, ANN401 - PIL's names
        """Write it as a file."""
        ...


class Columns:
    """A table's numbers without its library: columns by name, [rows] float64. A slice of it is such a table again."""

    def __init__(self, columns: dict[str, NDArray[np.float64]]) -> None:
        self._columns = columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()), ()))

    def __getitem__(self, rows: slice) -> "Columns":
        return Columns({name: column[rows] for name, column in self._columns.items()})

    def rows(self) -> Iterator[dict[str, float]]:
        """Each row by name."""
        for row in zip(*(column.tolist() for column in self._columns.values()), strict=True):
            yield dict(zip(self._columns, row, strict=True))


def frame_columns(frame: Frame) -> Columns:
    """The table's numbers; raises InvalidInput for a column that holds anything else."""
    return Columns({_column_name(name): _numbers(name, frame[name]) for name in frame.columns})


def picture_file(picture: Picture) -> bytes:
    """The picture as a PNG file: no pixel changes, and its orientation note goes with it, as from the file itself.

    Raises InvalidInput for a mode of more than 8 bits a channel that PNG does not have.
    """
    mode = PNG_MODE_OF.get(picture.mode)
    whole = picture.convert(mode) if mode else picture
    buffer = io.BytesIO()
    try:
        # The quickest of PNG's compressions: the way to the server is short, or its channel compresses.
        whole.save(buffer, format="PNG", compress_level=1, exif=picture.getexif())
    except OSError as error:
        raise InvalidInput(
            f"image: mode {picture.mode} came; 8 bits a channel were expected, as in L or RGB"
        ) from error
    return buffer.getvalue()


def picture_bytes(picture: Picture) -> int:
    """What its file is hardly larger than."""
    width, height = picture.size
    return 4 * width * height


def _column_name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInput(f"column {name!r}: the name is a {type(name).__name__}; a str was expected")
    return name


def _numbers(name: str, column: object) -> NDArray[np.float64]:
    array = np.asarray(column)
    if array.ndim != 1:
        raise InvalidInput(f"column {name}: it came more than once")
    is_numeric = (
        all(isinstance(one, Real) for one in array) if array.dtype == np.object_ else array.dtype.kind in "biuf"
    )
    if not is_numeric:
        raise InvalidInput(f"column {name}: dtype {array.dtype} came; numbers were expected, none missing")
    return array.astype(np.float64)
