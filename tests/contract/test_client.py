"""The Python client and a real server."""

import asyncio
from functools import partial

import numpy as np
import pytest

from serving.client import AsyncClient, Client, Failure, FeaturePreprocessing, ImagePreprocessing, Request
from serving.errors import InvalidInput, ModelBroken, ModelNotFound, PermissionDenied
from tests import tiny_models as tiny
from tests.contract.requests import image_file
from tests.running_server import running_server


@pytest.fixture
def client(signet):
    with Client(f"127.0.0.1:{signet.server.port}") as one:
        yield one


def labels(answer):
    return [row.label for row in answer.predictions]


def test_images_are_paths_or_bytes(client, tmp_path):
    path = tmp_path / "bright.png"
    path.write_bytes(image_file(255))
    assert labels(client.predict("shades", path)) == ["bright"]
    assert labels(client.predict("shades", [image_file(0), str(path)])) == ["dark", "bright"]


def test_features_are_one_dict_or_several(client):
    (row,) = client.predict("sums", {"a": 1, "b": 2, "c": 3.5}).predictions
    assert (row.label, row.threshold) == ("positive", 0.5)
    assert row.probability == pytest.approx(1 / (1 + np.exp(-6.5)))
    assert labels(client.predict("sums", [{"a": 1, "b": 0, "c": 0}, {"a": -1, "b": 0, "c": 0}])) == [
        "positive",
        "negative",
    ]


@pytest.mark.parametrize(
    "numbers", [[[0, 5, 1], [7, 0, 0]], [[0.0, 5.0, 1.0], [7.0, 0.0, 0.0]]], ids=["ints", "floats"]
)
def test_a_bare_array_of_literals_becomes_what_the_model_takes(client, numbers):
    assert labels(client.predict("letters", np.array(numbers))) == ["b", "a"]


def test_an_array_without_a_rows_axis_is_one_row(client):
    assert labels(client.predict("letters", np.array([0, 0, 1]))) == ["c"]


def test_an_array_that_would_lose_values_is_refused_naming_both_datatypes(client):
    with pytest.raises(InvalidInput, match=r"input image: FP64 came .*; UINT8 was expected"):
        client.predict("shades", np.full((1, 4, 4, 3), 0.5))


def test_arrays_by_name_give_outputs_by_name(client):
    ones = np.ones((3, 2), np.float32)
    answer = client.predict("pairs", {"a": ones, "b": 2 * ones})
    assert answer.predictions == ()
    np.testing.assert_array_equal(answer.outputs["sum"], 3 * ones)
    np.testing.assert_array_equal(answer.outputs["difference"], -ones)


def test_text_goes_in_and_comes_out_as_bytes(client):
    answer = client.predict("text", {"x": np.array([["é", "b"]], np.object_)})
    assert answer.outputs["y"].tolist() == [["é".encode(), b"b"]]


def test_options_and_id_arrive(client):
    answer = client.predict(
        "letters", np.array([[0, 5, 1]]), version=1, top_k=2, return_scores=True, return_outputs=True, id="mine"
    )
    (row,) = answer.predictions
    assert (answer.model, answer.version, answer.id) == ("letters", 1, "mine")
    assert [one.label for one in row.top] == ["b", "c"]
    assert (row.class_index, row.score) == (1, row.top[0].score)
    np.testing.assert_array_equal(np.array(row.scores, np.float32), answer.outputs["y"][0])


def test_errors_are_those_that_the_server_raised(client):
    with pytest.raises(ModelNotFound, match="nope"):
        client.predict("nope", b"png")
    with pytest.raises(ModelBroken, match="corrupt"):
        client.predict("corrupt", np.zeros((1, 2)))
    with pytest.raises(InvalidInput, match="no PNG, JPEG, BMP or WebP"):
        client.predict("shades", b"text")
    with pytest.raises(PermissionDenied):
        client.unload_model("shades")
    with pytest.raises(ModelNotFound, match="health of nope"):
        client.health("nope")


def test_a_stream_keeps_the_order_and_goes_on_after_failures(client):
    requests = [Request("letters", np.eye(3)[index % 3], id=str(index)) for index in range(200)]
    requests[7] = Request("letters", "no such file.png", id="7")
    requests[8] = Request("nope", b"png", id="8")
    answers = list(client.predict_stream(requests))
    assert [answer.id for answer in answers] == [request.id for request in requests]
    failed = {int(answer.id): type(answer.error) for answer in answers if isinstance(answer, Failure)}
    assert failed == {7: InvalidInput, 8: ModelNotFound}
    assert labels(answers[5]) == ["c"]


def test_a_stream_may_be_left_early(client):
    answers = client.predict_stream(Request("letters", np.eye(3), id=str(index)) for index in range(1000))
    assert next(answers).id == "0"
    answers.close()
    assert labels(client.predict("letters", np.eye(3))) == ["a", "b", "c"]


def all_with_threads(address, model, inputs, **options):
    with Client(address) as client:
        return client.predict_all(model, inputs, **options)


def all_with_asyncio(address, model, inputs, **options):
    async def ask():
        async with AsyncClient(address) as client:
            return await client.predict_all(model, inputs, **options)

    return asyncio.run(ask())


@pytest.fixture(params=[all_with_threads, all_with_asyncio], ids=["threads", "asyncio"])
def predict_all(request, signet):
    """`predict_all` against the server, which takes at most 500 rows in a request."""
    return partial(request.param, f"127.0.0.1:{signet.server.port}")


def test_more_rows_than_a_request_may_have_are_answered_in_order(predict_all):
    told = []
    rows = np.eye(3)[np.arange(1300) % 3]
    answer = predict_all("letters", rows, return_outputs=True, on_progress=lambda *rows: told.append(rows))
    assert labels(answer) == ["a", "b", "c"] * 433 + ["a"]
    assert answer.outputs["y"].shape == (1300, 3)
    assert told == [(256, 1300), (512, 1300), (768, 1300), (1024, 1300), (1280, 1300), (1300, 1300)]


def test_rows_of_every_kind_are_sent_in_parts(predict_all):
    ones = np.ones((5, 2), np.float32)
    assert predict_all("pairs", {"a": ones, "b": ones}, batch_rows=2).outputs["sum"].shape == (5, 2)
    assert labels(predict_all("shades", [image_file(0), image_file(255)] * 2, batch_rows=3)) == ["dark", "bright"] * 2
    features = [{"a": sign, "b": 0, "c": 0} for sign in (1, -1, 1)]
    assert labels(predict_all("sums", features, batch_rows=1)) == ["positive", "negative", "positive"]
    assert labels(predict_all("shades", image_file(255))) == ["bright"]


def test_a_wrong_row_among_many_is_found_by_its_part(predict_all):
    images = [image_file(0)] * 5 + [b"text"]
    with pytest.raises(InvalidInput, match=r"in rows 4 to 5, counted from the first of them: images\[1\]"):
        predict_all("shades", images, batch_rows=2)
    with pytest.raises(ModelNotFound):
        predict_all("nope", images)


def test_models_are_described(client):
    states = {one.model: one.state for one in client.models()}
    assert (states["shades"], states["corrupt"]) == ("READY", "FAILED")
    shades = client.model("shades")
    assert shades.labels == ("dark", "middle", "bright")
    assert shades.class_indices == tiny.SHADES
    assert isinstance(shades.preprocessing, ImagePreprocessing)
    sums = client.model("sums", 1)
    assert isinstance(sums.preprocessing, FeaturePreprocessing)
    assert [one.name for one in sums.preprocessing.features] == ["a", "b", "c"]
    assert sums.decision is not None
    assert sums.decision.threshold == 0.5
    assert client.health()
    assert not client.health("corrupt")


def test_control_loads_and_unloads(tmp_path):
    tiny.put_sums(tmp_path)
    with running_server(tmp_path, allow_control=True) as server, Client(f"127.0.0.1:{server.port}") as client:
        tiny.put_sums(tmp_path, version=2)
        assert client.load_model("sums").version == 2
        assert [one.model for one in client.unload_model("sums", 2)] == ["sums"]


def test_asyncio_asks_at_once_and_each_gets_its_own(signet, tmp_path):
    path = tmp_path / "bright.png"
    path.write_bytes(image_file(255))

    async def requests():
        for index in range(3):
            yield Request("letters", np.eye(3)[index], id=str(index))

    async def ask():
        async with AsyncClient(f"127.0.0.1:{signet.server.port}") as client:
            await client.wait_ready(10)
            answers = await asyncio.gather(*(client.predict("letters", np.eye(3)[index % 3]) for index in range(30)))
            assert [labels(answer) for answer in answers] == [["a"], ["b"], ["c"]] * 10
            assert labels(await client.predict("shades", path)) == ["bright"]
            assert [answer.id async for answer in client.predict_stream(requests())] == ["0", "1", "2"]
            assert await client.health("sums")
            assert (await client.model("sums")).class_indices == {"negative": 0, "positive": 1}

    asyncio.run(ask())
