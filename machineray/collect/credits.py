"""Whom a network, and so every picture of it, owes what: a summary that travels with them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Credits = dict[str, Any]


def credits_of(paintings: Sequence[Mapping[str, Any]], began: Credits | None = None) -> Credits:
    """Number of paintings, artists and rights, most frequent first.

    `began` is that of the network with which the training began; it stands below "began_with".
    """

    def counted(field: str) -> dict[str, int]:
        return dict(Counter(str(row.get(field) or "unknown") for row in paintings).most_common())

    credits = {
        "paintings": len(paintings),
        "artists": counted("artist"),
        "rights": counted("rights"),
    }
    return credits | ({"began_with": began} if began else {})
