"""Where candidates come from: a folder, a bucket prefix, the examples; later a museum's API.

A source splits what a stage needs apart in time: `names` once, for the plan; `read` and
`metadata` for one name, wherever the index runs. A museum fits in as a class of its own with the
same three methods: its names are object numbers with an extension ("11145.jpg"), `metadata` asks
the API (and keeps the answer), `read` downloads the picture. It refuses by InputError, as here.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from machineray.collect.catalog import (
    CATALOG_NAMES,
    UNKNOWN,
    Metadata,
    normal,
    read_catalog,
)

# What stands beside pictures and is none; anything else that is no picture is refused by name.
COMPANIONS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", *CATALOG_NAMES})
COMPANION_STEMS = frozenset({"readme", "credits", "license", "licence", "copying", "notice"})
COMPANION_SUFFIXES = frozenset({"", ".md", ".txt", ".rst", ".html"})
COMPANION_FOLDERS = frozenset({"__macosx", "@eadir"})  # of zip on a Mac, of Synology


class Source(Protocol):
    """Candidates by name; nothing says yet that they are pictures."""

    def names(self) -> Sequence[str]:
        """All candidates, sorted, each once."""

    def metadata(self, name: str) -> Metadata:
        """What is known of a candidate: every field of `catalog.FIELDS`, None if unknown."""

    def read(self, name: str) -> bytes:
        """The candidate's bytes, as they lie there."""


class Listing:
    """The files of a folder or bucket prefix, with the catalogs beside them."""

    def __init__(self, names: Iterable[str], read: Callable[[str], bytes]) -> None:
        """`names` relative to the folder, "/" between folders; `read` takes one of them."""
        self._all = sorted(set(names))
        self.read = read

    def names(self) -> list[str]:
        """Every file that is not a well-known companion of pictures, sorted."""
        return [name for name in self._all if not is_companion(name)]

    def metadata(self, name: str) -> Metadata:
        """What the catalog in the file's folder, or in one above it, says of it.

        Raises:
            InputError: the catalog cannot be understood.
        """
        return self._catalog.get(normal(name), UNKNOWN)

    def missing(self) -> list[str]:
        """Files that a catalog speaks of and that are not there, sorted.

        Raises:
            InputError: the catalog cannot be understood.
        """
        return sorted(self._catalog.keys() - {normal(name) for name in self._all})

    @functools.cached_property
    def _catalog(self) -> dict[str, Metadata]:
        found: dict[str, Metadata] = {}
        catalogs = [name for name in self._all if is_catalog(name)]
        # The nearest catalog has the last word.
        for name in sorted(catalogs, key=lambda each: each.count("/")):
            folder = PurePosixPath(normal(name)).parent
            entries = read_catalog(self.read(name), name)
            found |= {normal(str(folder / file)): entry for file, entry in entries.items()}
        return found


def is_catalog(name: str) -> bool:
    """Whether the file is a catalog of the pictures beside it."""
    return PurePosixPath(name).name in CATALOG_NAMES


def is_companion(name: str) -> bool:
    """Whether the file is known to stand beside pictures without being one: skipped in silence."""
    path = PurePosixPath(name.lower())
    return (
        path.name in COMPANIONS
        or any(part.startswith(".") for part in path.parts)
        or any(part in COMPANION_FOLDERS for part in path.parts)
        or (path.stem in COMPANION_STEMS and path.suffix in COMPANION_SUFFIXES)
    )
