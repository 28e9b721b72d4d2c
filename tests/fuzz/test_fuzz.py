"""Whatever bytes come by any of the three APIs: a status that says what is wrong, never a fault of the server."""

import pytest

from serving.rpc.transport import CAPABILITIES
from tests.fuzz.campaign import fuzz, target
from tests.fuzz.seeds import APIS, put_models

MESSAGES = 5000
SEED = 1


@pytest.fixture(scope="module", params=sorted(CAPABILITIES))
def served(request, tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    put_models(models)
    with target(models, "--transport", request.param) as running:
        yield running


@pytest.mark.parametrize("api", APIS)
def test_mutated_messages_are_answered_or_refused_and_the_server_goes_on(served, api):
    tally = fuzz(served, APIS[api](), MESSAGES, SEED)
    assert not tally.faults
    assert tally.outcomes["OK"] > MESSAGES // 20, "mutations that break every message test only the parser"
