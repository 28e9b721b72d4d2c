"""A canary gets its share of the calls, on one worker and on two, and all workers have the same labels."""

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from protos.signet.v1.models_pb2 import SetTrafficSplitRequest, SetVersionLabelRequest
from protos.signet.v1.models_pb2_grpc import ModelsStub
from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from tests import tiny_models as tiny
from tests.contract.requests import letters
from tests.contract.serving_process import serving
from tests.contract.serving_workers import connections, total, two_workers

CALLS = 10_000
PERCENT = 10
CALLERS = 16
ROW = [[0, 9, 0]]
FLAGS = ("--allow-control", "--version-policy", "all")
THREE_DEVIATIONS = 3 * math.sqrt(CALLS * PERCENT / 100 * (1 - PERCENT / 100))


@pytest.fixture
def models(tmp_path):
    for version in (1, 2):
        tiny.put_bare(tmp_path, "letters", tiny.linear_model(), version, labels=["a", "b", "c"])
    return tmp_path


def set_canary(channel: grpc.Channel) -> None:
    models = ModelsStub(channel)
    models.SetVersionLabel(SetVersionLabelRequest(model="letters", label="canary", version=2), timeout=30)
    models.SetTrafficSplit(SetTrafficSplitRequest(model="letters", percent={"canary": PERCENT}), timeout=30)


def versions(channels: list[grpc.Channel]) -> Counter:
    """Which versions answered CALLS calls."""

    def ask(channel: grpc.Channel) -> Counter:
        predict = PredictionStub(channel).Predict
        return Counter(predict(letters(ROW), timeout=30).version for _ in range(CALLS // CALLERS))

    with ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(ask, channels), Counter())


def test_one_worker_sends_a_tenth_to_the_canary(models, transport):
    with serving(models, "--transport", transport, *FLAGS) as (_, port), connections(port, CALLERS) as channels:
        set_canary(channels[0])
        counts = versions(channels)
    assert abs(counts[2] - CALLS * PERCENT / 100) <= THREE_DEVIATIONS


def test_two_workers_send_a_tenth_to_the_canary_and_the_metrics_say_so(models):
    with two_workers(models, *FLAGS) as workers, connections(workers.port, CALLERS) as channels:
        set_canary(channels[0])
        labelled = [PredictionStub(one).Predict(letters(ROW, version_label="canary")).version for one in channels]
        counts = versions(channels)
        scrape = workers.scrape()
    assert labelled == [2] * CALLERS
    assert abs(counts[2] - CALLS * PERCENT / 100) <= THREE_DEVIATIONS
    counted = total(scrape["signet_request_seconds"], "signet_request_seconds_count", version="2", method="Predict")
    assert counted == counts[2] + CALLERS
    assert total(scrape["signet_version_label"], "signet_version_label", version="2", label="canary") == 1
    assert total(scrape["signet_traffic_percent"], "signet_traffic_percent", label="canary") == PERCENT
