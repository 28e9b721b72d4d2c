"""What control asked for is kept in one file, whole at every moment, that can grow."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.repository.desired_state import DesiredState, StateBroken, StateFile


@pytest.fixture
def file(tmp_path) -> StateFile:
    return StateFile(tmp_path)


def write(file: StateFile, **fields) -> None:
    file.path.write_text(json.dumps({"schema": 1, "revision": 3, "models": {}, **fields}))


def test_where_there_is_no_file_nothing_was_asked_for(file):
    assert file.read() == DesiredState(0, {})
    assert file.stamp() is None


def test_what_is_changed_is_read_and_each_change_has_the_next_revision(file):
    assert file.change("letters", frozenset({2})) == 1
    assert file.change("sums", frozenset()) == 2
    assert file.read() == DesiredState(2, {"letters": frozenset({2}), "sums": frozenset()})


def test_a_change_of_the_file_is_seen_by_its_stamp(file):
    file.change("letters", frozenset({1}))
    before = file.stamp()
    assert file.stamp() == before
    file.change("letters", frozenset({2}))
    assert file.stamp() != before


def test_changes_by_several_at_once_are_all_kept(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        revisions = list(pool.map(lambda n: StateFile(tmp_path).change(f"m{n}", frozenset({n + 1})), range(40)))
    assert sorted(revisions) == list(range(1, 41))
    assert StateFile(tmp_path).read().models == {f"m{n}": frozenset({n + 1}) for n in range(40)}


def test_fields_of_a_later_server_are_kept(file):
    write(file, models={"letters": {"versions": [1], "labels": {"stable": 1}}}, note="kept")
    file.change("letters", frozenset({2}))
    document = json.loads(file.path.read_text())
    assert document["models"]["letters"] == {"versions": [2], "labels": {"stable": 1}}
    assert document["note"] == "kept"


def test_nothing_else_is_left_in_the_folder_but_the_lock(file):
    file.change("letters", frozenset({1}))
    assert {path.name for path in file.path.parent.iterdir()} == {"desired_state.json", "desired_state.lock"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"schema": 2}, "schema"),
        ({"revision": -1}, "revision"),
        ({"models": {"letters": {"versions": ["1"]}}}, "models.letters.versions.0"),
        ({"models": {"letters": {"versions": [0]}}}, "models.letters.versions.0"),
        ({"models": {"../letters": {"versions": [1]}}}, "models.../letters"),
        ({"models": {"letters": {}}}, "models.letters.versions"),
    ],
    ids=["newer schema", "negative revision", "text", "version 0", "name that climbs out", "no versions"],
)
def test_what_is_wrong_with_a_file_is_named(file, fields, named):
    write(file, **fields)
    with pytest.raises(StateBroken, match=r"desired_state\.json: ") as broken:
        file.read()
    assert named in str(broken.value)


def test_a_file_that_is_no_json_is_refused_and_not_overwritten(file):
    file.path.write_text("no json")
    with pytest.raises(StateBroken):
        file.change("letters", frozenset({1}))
    assert file.path.read_text() == "no json"


def test_only_models_that_differ_have_changed():
    before = DesiredState(1, {"letters": frozenset({1}), "sums": frozenset({1})})
    after = DesiredState(3, {"letters": frozenset({1}), "sums": frozenset(), "new": frozenset({4})})
    assert after.changed_since(before) == {"sums": frozenset(), "new": frozenset({4})}
