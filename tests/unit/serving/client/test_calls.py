import math

import grpc
import pytest

from serving import errors
from serving.client.calls import Attempts, error_of_number, error_of_status

CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (CODE.INVALID_ARGUMENT, errors.InvalidInput),
        (CODE.NOT_FOUND, errors.ModelNotFound),
        (CODE.FAILED_PRECONDITION, errors.ModelBroken),
        (CODE.UNAVAILABLE, errors.Unavailable),
        (CODE.RESOURCE_EXHAUSTED, errors.Overloaded),
        (CODE.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (CODE.PERMISSION_DENIED, errors.PermissionDenied),
        (CODE.INTERNAL, errors.InternalError),
        (CODE.UNAUTHENTICATED, errors.PermissionDenied),
        (CODE.UNIMPLEMENTED, errors.NotOffered),
        (CODE.DATA_LOSS, errors.InternalError),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_status_is_the_error_that_the_server_raised(code, kind):
    error = error_of_status(code, "why", 1.0)
    assert type(error) is kind
    assert str(error) == "why"
    assert type(error_of_number(code.value[0], "why")) is kind


def test_a_number_that_is_no_status_is_an_internal_error():
    assert isinstance(error_of_number(99, "why"), errors.InternalError)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (
            "SERVER: Received message larger than max (9 vs. 4)",
            "server's --max-message-bytes (SIGNET_MAX_MESSAGE_BYTES)",
        ),
        ("CLIENT: Sent message larger than max (9 vs. 4)", "client's max_message_bytes"),
        ("CLIENT: Received message larger than max (9 vs. 4)", "client's max_message_bytes"),
        ("SERVER: Sent message larger than max (9 vs. 4)", "server's --max-message-bytes (SIGNET_MAX_MESSAGE_BYTES)"),
    ],
)
def test_a_message_over_a_limit_names_the_setting_at_fault(text, setting):
    told = str(error_of_status(CODE.RESOURCE_EXHAUSTED, text, math.inf))
    assert told.startswith(text)
    assert setting in told


def test_pauses_after_unavailable_double_within_their_jitter():
    attempts = Attempts(60)
    pauses = [attempts.pause_after(errors.Unavailable("later")) for _ in range(8)]
    longest = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert all(whole / 2 <= pause <= whole for pause, whole in zip(pauses, longest, strict=True))


def test_an_overloaded_server_is_asked_again_when_it_says():
    assert 0.2 <= Attempts(60).pause_after(errors.Overloaded("full", 0.2)) <= 0.22


@pytest.mark.parametrize(
    "error",
    [errors.Overloaded("full", math.inf), errors.InvalidInput("bad"), errors.InternalError("our fault")],
    ids=["overloaded without a hint", "a wrong request", "an internal error"],
)
def test_what_another_try_cannot_help_is_raised(error):
    with pytest.raises(type(error)) as raised:
        Attempts(60).pause_after(error)
    assert raised.value is error


def test_a_pause_that_would_outlast_the_deadline_is_not_begun():
    with pytest.raises(errors.Overloaded):
        Attempts(1).pause_after(errors.Overloaded("full", 5))


def test_a_call_for_one_try_is_not_tried_again():
    with pytest.raises(errors.Unavailable):
        Attempts(60).once().pause_after(errors.Unavailable("later"))
