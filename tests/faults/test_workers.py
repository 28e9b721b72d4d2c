"""A worker that dies or stands still costs the calls that it had, and is replaced."""

import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from protos.signet.v1.prediction_pb2_grpc import PredictionStub
from serving.client import Client
from tests import tiny_models as tiny
from tests.contract.requests import letters
from tests.contract.serving_workers import connections, total, two_workers

CALLERS = 8
ROW = [[0, 9, 0]]


@pytest.fixture
def models(tmp_path):
    tiny.put_bare(tmp_path, "letters", tiny.linear_model(), labels=["a", "b", "c"])
    return tmp_path


def answered(scrape) -> float:
    return total(scrape.get("signet_rows", []), "signet_rows_total")


def more_answered_than(rows: float) -> Callable[[dict[str, list[Any]]], bool]:
    return lambda scrape: answered(scrape) > rows


def call_until(over: threading.Event, channel: grpc.Channel) -> Counter:
    """How many calls had which status, one after the other until it is over."""
    outcomes: Counter = Counter()
    predict = PredictionStub(channel).Predict
    while not over.is_set():
        try:
            # A connection that was begun with the dying worker is tried again after a second; until then calls wait.
            predict(letters(ROW), timeout=30, wait_for_ready=True)
            outcomes[grpc.StatusCode.OK] += 1
        except grpc.RpcError as failed:
            outcomes[failed.code()] += 1
    return outcomes


def test_a_killed_worker_costs_only_the_calls_in_flight_and_comes_back(models):
    over = threading.Event()
    with (
        two_workers(models) as workers,
        connections(workers.port, CALLERS) as channels,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        calling = [pool.submit(call_until, over, channel) for channel in channels]
        try:
            assert workers.eventually(more_answered_than(10 * CALLERS))
            before = answered(workers.scrape())
            first = workers.pids[1]
            workers.kill(1, signal.SIGKILL)
            assert workers.wait_for("worker ended")["reason"] == "it was ended by SIGKILL"
            assert answered(workers.scrape()) >= before
            assert workers.wait_for("worker ready", worker=1)["pid"] != first
            assert workers.eventually(more_answered_than(2 * before))
        finally:
            over.set()
        outcomes = [one.result() for one in calling]
        scrape = workers.scrape()
    failed = [count for one in outcomes for code, count in one.items() if code != grpc.StatusCode.OK]
    assert {code for one in outcomes for code in one} <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    # Twice: the kernel may still give a new connection to the dying worker, while its port is being closed.
    assert sum(failed) <= 2 * CALLERS
    assert total(scrape["signet_worker_restarts"], "signet_worker_restarts_total") == 1


def test_our_client_does_not_notice_that_workers_are_killed(models):
    over = threading.Event()

    def ask(client: Client) -> set[str]:
        labels = set()
        while not over.is_set():
            labels.add(client.predict("letters", np.array(ROW, np.float32)).predictions[0].label)
        return labels

    with (
        two_workers(models) as workers,
        Client(f"127.0.0.1:{workers.port}") as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        asking = [pool.submit(ask, client) for _ in range(CALLERS)]
        try:
            for number in (1, 2):
                assert workers.eventually(more_answered_than(answered(workers.scrape())))
                workers.kill(number, signal.SIGKILL)
                workers.wait_for("worker ready", worker=number)
        finally:
            over.set()
        assert [one.result() for one in asking] == [{"b"}] * CALLERS


def test_a_worker_that_stands_still_is_replaced(models):
    with (
        two_workers(models, "--worker-timeout-seconds", "1") as workers,
        connections(workers.port, CALLERS) as channels,
    ):
        workers.kill(1, signal.SIGSTOP)
        assert workers.wait_for("worker ended")["reason"] == "it gave no sign of life for 1 seconds"
        workers.wait_for("worker ready", worker=1)
        answers = [PredictionStub(one).Predict(letters(ROW), timeout=30, wait_for_ready=True) for one in channels]
        assert [one.predictions[0].label for one in answers] == ["b"] * CALLERS
        assert workers.eventually(lambda scrape: total(scrape["signet_workers"], "signet_workers") == 2)


def test_sigterm_ends_a_worker_that_stands_still_too(models):
    with two_workers(models, "--worker-timeout-seconds", "1") as workers:
        workers.kill(2, signal.SIGSTOP)
        workers.process.send_signal(signal.SIGTERM)
        assert workers.process.wait(30) == 0


def test_workers_whose_supervisor_was_killed_end(models):
    with two_workers(models) as workers:
        workers.process.kill()
        gone = {line["worker"] for line in workers.rest() if line.get("state") == "GONE"}
    assert gone == {1, 2}
