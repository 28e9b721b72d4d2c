"""Named features become the array that the manifest states, or one clear error that names the row."""

import numpy as np
import pytest

from serving.errors import InvalidInput
from serving.inference.inputs import Feature, FeaturePreprocessing, arrange_features

FEATURES = FeaturePreprocessing("features", tuple(Feature(name, 0.0, 1.0) for name in ("age", "mass", "sugar")))
ROW = {"age": 1.0, "mass": 2.0, "sugar": 3.0}


def test_features_are_put_in_the_models_order_whatever_theirs_is():
    rows = [{"sugar": 3.0, "age": 1.0, "mass": 2.0}, {"mass": 5.0, "sugar": 6.0, "age": 4.0}]
    array = arrange_features(rows, FEATURES, np.float32)
    assert array.dtype == np.float32
    assert array.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        pytest.param(
            {"age": 1.0, "sugar": 3.0}, "features[1]: missing mass; the model takes age, mass, sugar", id="one"
        ),
        pytest.param({}, "features[1]: missing age, mass, sugar; the model takes age, mass, sugar", id="all missing"),
        pytest.param(
            {**ROW, "height": 4.0, "hair": 5.0}, "features[1]: unknown hair, height; the model takes", id="two unknown"
        ),
        pytest.param(
            {"age": 1.0, "mas": 2.0, "sugar": 3.0}, "features[1]: missing mass; unknown mas; the model", id="misspelt"
        ),
        pytest.param(
            {**ROW, "mass": float("nan")}, "features[1]: mass is nan; a finite number was expected", id="not a number"
        ),
        pytest.param({**ROW, "age": float("-inf")}, "features[1]: age is -inf; a finite number", id="infinite"),
        pytest.param(
            {**ROW, "sugar": 1e39},
            "features[1]: sugar is 1e+39; it does not fit float32",
            id="too large for the model's datatype",
        ),
    ],
)
def test_a_row_whose_features_do_not_fit_is_refused_by_name(row, text):
    with pytest.raises(InvalidInput) as error:
        arrange_features([ROW, row], FEATURES, np.float32)
    assert str(error.value).startswith(text)
