import numpy as np
import pytest

from training.datasets.pima import FEATURES, load_pima, read_table
from training.task import TrainingError

HEADER = ",".join((*FEATURES, "diabetes"))


def test_the_table_has_768_rows_of_which_the_first_700_train_and_the_rest_test():
    data = load_pima(None, seed=1)
    assert (len(data.train), len(data.validation), len(data.test)) == (700, 0, 68)
    assert data.train.inputs[0].tolist() == pytest.approx([6, 148, 72, 35, 0, 33.6, 0.627, 50])
    assert data.train.truth[:4].tolist() == [1, 0, 1, 0]
    assert data.train.truth.sum() + data.test.truth.sum() == 268


def test_no_test_row_enters_training():
    data = load_pima(None, seed=1)
    train = {row.tobytes() for row in np.column_stack([data.train.inputs, data.train.truth])}
    test = {row.tobytes() for row in np.column_stack([data.test.inputs, data.test.truth])}
    assert len(data.train) + len(data.test) == 768
    assert not train & test


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("glucose,age\n1,2\n", "table: no column pregnancies, blood_pressure"),
        (f"{HEADER}\n1,2,3,4,5,six,7,8,0\n", "table, line 2: bmi is 'six'; a number was expected"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8\n", "table, line 2: diabetes is None; a number was expected"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,0,9\n", "table, line 2: more than the 9 values that the header names"),
        (f"{HEADER},age\n1,2,3,4,5,6,7,8,0,9\n", "table: more than one column age; one was expected"),
        (f"{HEADER}\n{'1' * 200_000},2,3,4,5,6,7,8,0\n", "table: field larger than field limit .*; a CSV file was"),
        ("", "table: no column pregnancies, glucose"),
        (f"{HEADER}\n1,2,3,4,5,nan,7,8,0\n", "table, line 2: bmi is 'nan'; a finite number was expected"),
        (f"{HEADER}\n1,2,3,4,5,6,7,8,2\n", "table, line 2: diabetes is 2; 0 or 1 was expected"),
    ],
    ids=[
        "columns are missing",
        "text for a number",
        "a line is short",
        "a line is long",
        "a column comes twice",
        "a field without end",
        "nothing in it",
        "no finite number",
        "truth is no class",
    ],
)
def test_a_table_with_a_fault_is_refused_by_line_and_column(text, message):
    with pytest.raises(TrainingError, match=message.replace("|", r"\|")):
        read_table(text, "table")


def test_too_few_rows_to_split_are_refused(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(HEADER + "\n" + "1,2,3,4,5,6,7,8,0\n" * 10)
    with pytest.raises(TrainingError, match=r"10 rows; more than the 700 to train on were expected"):
        load_pima(path, seed=1)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"nothing\.csv: No such file"):
        load_pima(tmp_path / "nothing.csv", seed=1)
