"""The id of a call is the message's, else the metadata's, else a new one; what would spoil a log line is none."""

import pytest

from serving.rpc.request_id import request_id

BROUGHT = (("user-agent", "grpc"), ("x-request-id", "brought"))


def test_what_the_message_says_goes_before_the_metadata():
    assert request_id("said", BROUGHT) == "said"


def test_the_metadata_counts_where_the_message_says_nothing():
    assert request_id("", BROUGHT) == "brought"


@pytest.mark.parametrize("said", ["", "two\nlines", "größe", "\x1b[31m", "x" * 129])
def test_what_cannot_be_written_down_is_as_nothing(said):
    assert request_id(said, BROUGHT) == "brought"
    assert len(request_id("", (("x-request-id", said),))) == 16


def test_bytes_are_no_id():
    assert len(request_id("", (("x-request-id", b"bytes"),))) == 16


def test_new_ids_differ():
    assert len({request_id("", ()) for _ in range(100)}) == 100
