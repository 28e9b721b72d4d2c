"""A policy says which versions should be READY, and is spelled in one way."""

import pytest

from serving.repository.policy import VersionPolicy, parse_policy

VERSIONS = {1, 3, 4, 10}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("latest", {10}),
        ("latest:1", {10}),
        ("latest:3", {3, 4, 10}),
        ("latest:9", VERSIONS),
        ("all", VERSIONS),
        ("specific:1,3", {1, 3}),
        ("specific:3,2", {3}),
    ],
)
def test_what_a_policy_wants(text, wanted):
    assert parse_policy(text).wanted(VERSIONS) == wanted
    assert parse_policy(text).wanted(()) == set()


@pytest.mark.parametrize("text", ["latest", "latest:2", "all", "specific:1,30"])
def test_a_policy_is_spelled_as_it_is_read(text):
    assert str(parse_policy(text)) == text


def test_the_default_is_the_latest_version():
    assert VersionPolicy() == parse_policy("latest")


@pytest.mark.parametrize(
    "text",
    ["", "newest", "latest:0", "latest:", "latest:-1", "specific", "specific:", "specific:0", "specific:1,", "all:2"],
)
def test_what_is_no_policy_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match="came; latest, latest:N, all or specific:N,N was expected"):
        parse_policy(text)
