"""Whom a network, and so every picture of it, owes what: a summary that travels with them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from machineray.markup import counted as number_of

Credits = dict[str, Any]
MOST_NAMED = 20  # artists, and labels of rights, in a sentence


def credits_of(paintings: Sequence[Mapping[str, Any]], began: Credits | None = None) -> Credits:
    """Number of paintings, artists, rights and sources, most frequent first.

    Of paintings from sites also by which rule they entered (`collect.rights`).

    `began` is that of the network with which the training began; it stands below "began_with".
    """

    def counted(field: str) -> dict[str, int]:
        return dict(Counter(str(row.get(field) or "unknown") for row in paintings).most_common())

    credits = {
        "paintings": len(paintings),
        "artists": counted("artist"),
        "rights": counted("rights"),
        "sources": counted("source"),
    }
    if any(row.get("rule") for row in paintings):
        credits["rules"] = counted("rule")
    return credits | ({"began_with": began} if began else {})


def credit_words(credits: Credits | None) -> Iterator[str]:
    """What a network was made with, held out or not, and the one that it began with: sentences."""
    name = "The network"
    while credits:
        number = number_of(credits["paintings"], "painting")
        artists = _most_first("{1:,} by {0}", credits["artists"])
        rights = _most_first("“{0}” ({1:,})", credits["rights"])
        yield f"{name} was made with {number}: {artists}. Their rights: {rights}."
        name, credits = "The one that it began with", credits.get("began_with")


def _most_first(form: str, counts: Mapping[str, int]) -> str:
    words = [form.format(*pair) for pair in Counter(counts).most_common()]
    more = len(words) - MOST_NAMED
    return ", ".join(words[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
