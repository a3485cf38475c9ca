"""The test processes themselves: what shares a server or a cluster goes to one of them."""

import pytest


@pytest.mark.xdist_group("together")
def test_a_group_is_known_to_who_hands_the_tests_out(
    request: pytest.FixtureRequest, worker_id: str
) -> None:
    """A pytest and an xdist that do not fit each other forget it without a word."""
    assert worker_id == "master" or request.node.nodeid.endswith("@together")
