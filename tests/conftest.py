"""Fixtures that many tests share."""

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of labelled paintings and reference outputs beside the project."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the test paintings (../shared) are not beside the project")
    return folder


@pytest.fixture(scope="session")
def paintings() -> Path:
    """The 48 real paintings that ship with the project."""
    return PROJECT / "examples" / "paintings"
