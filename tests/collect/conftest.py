"""Servers that end with their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.collect.site import Page, Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """A function that starts a server with pages; it stops after the test."""
    running: list[Server] = []

    def start(pages: dict[str, Page], **more: Any) -> Server:
        server = Server(pages, **more)
        server.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__()
