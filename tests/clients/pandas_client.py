"""Tables of pandas and polars, and PIL images, given to our client as they are."""
# requirements: -e . pandas polars pillow

import sys

import pandas as pd
import polars as pl
from PIL import Image

from serving.client import Client
from serving.errors import InvalidInput

COLUMNS = {"c": [0.0, 0.0, 1.0], "a": [1, -1, 1], "b": [True, False, False]}
LABELS = ["positive", "negative", "positive"]


def check(what: str, found: object, expected: object) -> None:
    """Say what was checked, or end."""
    if found != expected:
        sys.exit(f"{what}: {found!r} came, {expected!r} was expected")
    print(f"  {what}")


def refusal(client: Client, table: pd.DataFrame) -> str:
    """What the client or the server says of a table that is wrong."""
    try:
        client.predict("sums", table)
    except InvalidInput as error:
        return str(error)
    return "nothing"


def main() -> None:
    """Right ones and wrong ones."""
    with Client(sys.argv[1]) as client:
        for name, table in (("pandas", pd.DataFrame(COLUMNS)), ("polars", pl.DataFrame(COLUMNS))):
            check(
                f"{name}: by name, in any order",
                [row.label for row in client.predict("sums", table).predictions],
                LABELS,
            )
            parts = client.predict_all("sums", table, batch_rows=2)
            check(f"{name}: in parts", [row.label for row in parts.predictions], LABELS)
        nullable = pd.DataFrame(COLUMNS).convert_dtypes()
        check("pandas: nullable columns", [row.label for row in client.predict("sums", nullable).predictions], LABELS)
        indexed = pd.DataFrame(COLUMNS).set_index(pd.Index(["x", "y", "z"]))
        parts = client.predict_all("sums", indexed[indexed["a"] > 0], batch_rows=1)
        check("pandas: a selection", [row.label for row in parts.predictions], ["positive", "positive"])
        text = pd.DataFrame(COLUMNS | {"b": ["yes", "no", "no"]})
        check("pandas: text is refused", refusal(client, text).startswith("column b: dtype"), True)
        gap = pd.DataFrame(COLUMNS | {"c": [0.0, None, 1.0]})
        check("pandas: a missing number is refused by row and name", "features[1]" in refusal(client, gap), True)
        more = pd.DataFrame(COLUMNS | {"outcome": [0, 1, 0]})
        check("pandas: a column that is no feature is named", "outcome" in refusal(client, more), True)
        pictures = [Image.new(mode, (4, 4), color) for mode, color in (("RGB", "black"), ("L", 255), ("CMYK", 0))]
        labels = [row.label for row in client.predict("shades", pictures).predictions]
        check("PIL: several pictures", labels, ["dark", "bright", "bright"])
        check("PIL: one picture", client.predict("shades", pictures[0]).predictions[0].label, "dark")


main()
