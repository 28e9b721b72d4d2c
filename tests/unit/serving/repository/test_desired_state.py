"""What control asked for is kept in one file, whole at every moment, that can grow."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from serving.repository.desired_state import DesiredState, Edit, StateBroken, StateFile, Wish
from serving.repository.policy import VersionPolicy
from serving.repository.traffic import Traffic


@pytest.fixture
def file(tmp_path) -> StateFile:
    return StateFile(tmp_path)


def write(file: StateFile, **fields) -> None:
    file.path.write_text(json.dumps({"schema": 1, "revision": 3, "models": {}, **fields}))


def exactly(*versions: int) -> Edit:
    return lambda wish: replace(wish, versions=frozenset(versions))


def wish(*versions: int) -> Wish:
    return Wish(frozenset(versions))


def test_where_there_is_no_file_nothing_was_asked_for(file):
    assert file.read() == DesiredState(0, {})
    assert file.stamp() is None


def test_what_is_changed_is_read_and_each_change_has_the_next_revision(file):
    assert file.change("letters", exactly(2)) == (1, wish(2))
    assert file.change("sums", exactly()) == (2, wish())
    assert file.read() == DesiredState(2, {"letters": wish(2), "sums": wish()})


def test_a_change_of_the_file_is_seen_by_its_stamp(file):
    file.change("letters", exactly(1))
    before = file.stamp()
    assert file.stamp() == before
    file.change("letters", exactly(2))
    assert file.stamp() != before


def test_changes_by_several_at_once_are_all_kept(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        revisions = list(pool.map(lambda n: StateFile(tmp_path).change(f"m{n}", exactly(n + 1)), range(40)))
    assert sorted(revision for revision, _ in revisions) == list(range(1, 41))
    assert StateFile(tmp_path).read().models == {f"m{n}": wish(n + 1) for n in range(40)}


def test_fields_of_a_later_server_are_kept(file):
    write(file, models={"letters": {"versions": [1], "shadow": {"of": 1}}, "sums": {"versions": []}}, note="kept")
    file.change("letters", exactly(2))
    document = json.loads(file.path.read_text())
    assert document["models"] == {"letters": {"versions": [2], "shadow": {"of": 1}}, "sums": {"versions": []}}
    assert document["note"] == "kept"


def test_a_policy_labels_and_a_split_are_written_and_read(file):
    traffic = Traffic({"stable": 2, "canary": 3}, {"canary": 10.0})
    wanted = Wish(policy=VersionPolicy("specific", numbers=frozenset({2, 3})), traffic=traffic)
    file.change("letters", lambda _: wanted)
    assert json.loads(file.path.read_text())["models"]["letters"] == {
        "policy": "specific:2,3",
        "labels": {"stable": 2, "canary": 3},
        "split": {"canary": 10.0},
    }
    assert file.read().models == {"letters": wanted}
    file.change("letters", lambda _: Wish())
    assert json.loads(file.path.read_text())["models"]["letters"] == {}


def test_versions_that_have_labels_are_wanted_beside_the_others():
    traffic = Traffic({"stable": 2})
    assert wish(1).wanted(VersionPolicy(), {1, 2, 3}) == {1}
    assert replace(wish(1), traffic=traffic).wanted(VersionPolicy(), {1, 2, 3}) == {1, 2}
    assert Wish(traffic=traffic).wanted(VersionPolicy(), {1, 2, 3}) == {2, 3}
    assert Wish(policy=VersionPolicy("all")).wanted(VersionPolicy(), {1, 3}) == {1, 3}


def test_nothing_else_is_left_in_the_folder_but_the_lock(file):
    file.change("letters", exactly(1))
    assert {path.name for path in file.path.parent.iterdir()} == {"desired_state.json", "desired_state.lock"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"schema": 2}, "schema"),
        ({"revision": -1}, "revision"),
        ({"models": {"letters": {"versions": ["1"]}}}, "models.letters.versions.0"),
        ({"models": {"letters": {"versions": [0]}}}, "models.letters.versions.0"),
        ({"models": {"../letters": {"versions": [1]}}}, "models.../letters"),
        ({"models": {"letters": {"policy": "newest"}}}, "models.letters.policy"),
        (
            {"models": {"letters": {"policy": "all", "versions": []}}},
            "models.letters: versions and policy",
        ),
        ({"models": {"letters": {"labels": {"a b": 1}}}}, "models.letters: label: 'a b'"),
        ({"models": {"letters": {"labels": {"a": 0}}}}, "models.letters.labels.a: 0 came"),
        ({"models": []}, "models: an object was expected"),
        ({"models": {"letters": 1}}, "models.letters: 1 came; an object was expected"),
        ({"models": {"letters": {"split": {"canary": 10}}}}, "has no version label 'canary'"),
        ({"models": {"letters": {"labels": {"a": 1}, "split": {"a": 101}}}}, "split: a=101 came"),
    ],
    ids=[
        "newer schema",
        "negative revision",
        "text",
        "version 0",
        "name that climbs out",
        "unknown policy",
        "policy beside versions",
        "no label's name",
        "label of version 0",
        "list of models",
        "number for a model",
        "split without its label",
        "split of more than all",
    ],
)
def test_what_is_wrong_with_a_file_is_named(file, fields, named):
    write(file, **fields)
    with pytest.raises(StateBroken, match=r"desired_state\.json: ") as broken:
        file.read()
    assert named in str(broken.value)


def test_a_file_that_is_no_json_is_refused_and_not_overwritten(file):
    file.path.write_text("no json")
    with pytest.raises(StateBroken):
        file.change("letters", exactly(1))
    assert file.path.read_text() == "no json"


def test_only_models_that_differ_have_changed():
    before = DesiredState(1, {"letters": wish(1), "sums": wish(1), "old": wish(2)})
    after = DesiredState(3, {"letters": wish(1), "sums": wish(), "new": wish(4)})
    assert after.changed_since(before) == {"sums": wish(), "new": wish(4), "old": Wish()}
