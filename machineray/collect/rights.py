"""Which rule makes a painting free, and where: life + 70, and the United States' 95 years.

A painting enters with two proofs: the site's own statement about this very object, and a date. The
date is the artist's death (rights end 70 years after it in most of the world), of several the last
one's; where a site does not tell it, a year of making, the last possible one, before the United
States' limit. None of it is legal advice.
"""

from dataclasses import dataclass

from machineray.collect.answers import Unproven
from machineray.collect.painting import LIFE_YEARS, Candidate, Wanted

LIFE = "life+70"
US = "us-95"

IN_WORDS = {
    LIFE: "the site's label says so, and the artist died more than 70 years ago",
    US: "the site's label says so, and it was made before the limit of the United States; the site "
    "does not tell when the artist died",
}


@dataclass(frozen=True)
class Admission:
    """The rule that let a painting in, and what it means in two jurisdictions, in plain words."""

    rule: str
    elsewhere: str
    united_states: str


def admitted(painting: Candidate, wanted: Wanted) -> Admission:
    """Why the painting may enter; Unproven with what is missing otherwise."""
    who = painting.artist or "an unknown artist"
    if not painting.is_open:
        label = f"is labelled “{painting.label}”" if painting.label else "bears no label of rights"
        raise Unproven(f"{painting.url}: {label}: only what is plainly public domain or CC0 enters")
    if painting.died is not None and painting.died >= wanted.died_before:
        raise Unproven(
            f"{painting.url}: {who} died in {painting.died}, not before {wanted.died_before}"
        )
    if painting.died is None and (painting.year is None or painting.year >= wanted.us_before):
        when = f"it may be of {painting.year}" if painting.year else "no year ends its making"
        raise Unproven(
            f"{painting.url}: nothing but the label says that it is free: nobody tells when {who} "
            f"died, and {when} (before {wanted.us_before} would do)"
        )
    rule = US if painting.died is None else LIFE
    return Admission(rule, _elsewhere(painting, wanted), _united_states(painting, wanted))


def _elsewhere(painting: Candidate, wanted: Wanted) -> str:
    if painting.died is None:
        return "not shown: the artist's death is not told"
    free = painting.died + LIFE_YEARS + 1
    if free > wanted.year:
        return f"not yet: free from {free} on"
    return f"free since {free}"


def _united_states(painting: Candidate, wanted: Wanted) -> str:
    if painting.year is None:
        return f"not shown: no year; published before {wanted.us_before} it is free"
    if painting.year >= wanted.us_before:
        return f"not shown: made by {painting.year}, not before {wanted.us_before}"
    return f"free if it was published before {wanted.us_before}; made by {painting.year}"
