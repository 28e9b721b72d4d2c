"""The Pima Indians Diabetes table: 768 women, 8 features each, diabetes within five years or not.

Owns the table (pima.csv, in its original order) and its split. Does not know models.

Source: National Institute of Diabetes and Digestive and Kidney Diseases; donated by Vincent Sigillito, Johns Hopkins
University, 9 May 1990; first used by Smith et al., "Using the ADAP learning algorithm to forecast the onset of diabetes
mellitus", Symposium on Computer Applications and Medical Care, 1988. A 0 in glucose, blood_pressure, skin_thickness,
insulin or bmi means that the value is missing.
"""

import csv
from importlib.resources import files
from pathlib import Path

import numpy as np

from training.task import Dataset, Rows, TrainingError

FEATURES = (
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "pedigree",
    "age",
)
TRUTH = "diabetes"
CLASS_INDICES = {"negative": 0, "positive": 1}
TRAIN_ROWS = 700


def load_pima(data: Path | None, seed: int) -> Dataset:  # noqa: ARG001 - the split is the table's order
    """The first 700 rows to train, the rest to test, as the course splits; inputs [rows, 8] float32, no validation.

    `data`: another CSV file with the same columns. Raises TrainingError naming the file and what is wrong in it.
    """
    rows = read_table(_text(data), str(data or "pima.csv"))
    if len(rows) <= TRAIN_ROWS:
        raise TrainingError(f"{data}: {len(rows)} rows; more than the {TRAIN_ROWS} to train on were expected")
    return Dataset(
        train=rows.take(slice(0, TRAIN_ROWS)),
        validation=rows.take(slice(0, 0)),
        test=rows.take(slice(TRAIN_ROWS, None)),
        class_indices=CLASS_INDICES,
        source=str(data) if data else "the table that comes with Signet, in its original order",
    )


def read_table(text: str, name: str) -> Rows:
    """The rows of a CSV text with a header that names FEATURES and `diabetes`, in any order.

    Raises TrainingError naming the column that is missing or named twice, or the line and column that hold no number.
    """
    try:
        reader = csv.DictReader(text.splitlines())
        columns, records = list(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise TrainingError(f"{name}: {error}; a CSV file was expected") from error
    missing = [column for column in (*FEATURES, TRUTH) if column not in columns]
    if missing:
        raise TrainingError(f"{name}: no column {', '.join(missing)}; {', '.join((*FEATURES, TRUTH))} were expected")
    twice = [column for column in (*FEATURES, TRUTH) if columns.count(column) > 1]
    if twice:
        raise TrainingError(f"{name}: more than one column {', '.join(twice)}; one was expected")
    inputs: list[list[float]] = []
    truth: list[int] = []
    for line, record in enumerate(records, start=2):
        if reader.restkey in record:
            raise TrainingError(f"{name}, line {line}: more than the {len(columns)} values that the header names")
        inputs.append([_number(record, column, name, line) for column in FEATURES])
        outcome = _number(record, TRUTH, name, line)
        if outcome not in (0, 1):
            raise TrainingError(f"{name}, line {line}: {TRUTH} is {outcome:g}; 0 or 1 was expected")
        truth.append(int(outcome))
    return Rows(np.array(inputs, np.float32).reshape(-1, len(FEATURES)), np.array(truth, np.int64))


def _text(data: Path | None) -> str:
    if data is None:
        return files(__package__).joinpath("pima.csv").read_text("utf-8")
    try:
        return data.read_text("utf-8")
    except OSError as error:
        raise TrainingError(f"{data}: {error.strerror}; a CSV file was expected") from error
    except UnicodeDecodeError as error:
        raise TrainingError(f"{data}: no UTF-8 text; a CSV file was expected") from error


def _number(record: dict[str, str], column: str, name: str, line: int) -> float:
    try:
        number = float(record[column])
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{name}, line {line}: {column} is {record[column]!r}; a number was expected") from error
    if not np.isfinite(number):
        raise TrainingError(f"{name}, line {line}: {column} is {record[column]!r}; a finite number was expected")
    return number
