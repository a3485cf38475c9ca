"""The browser that the gallery's tests drive."""

from tests.gallery.conftest import browser

__all__ = ["browser"]
