"""The page of an exploration: one labelled sheet below the other."""

from collections.abc import Sequence

from machineray.markup import escaped, local_href, plain_page

STYLE = "img { max-width: 100%; display: block; margin: 0 0 2rem; }"
METHOD = (
    "The first sheet shows truncation: psi pulls every picture towards the mean one. Each of the "
    "others shows one direction: along it the layers named change most, as their weights alone "
    "tell (SeFa, arXiv 2007.06600), the strongest direction first. Steps are standard deviations "
    "of w; in the middle stands the seed as it is. What a direction means is for you to see."
)


def explore_page(run: str, sheets: Sequence[tuple[str, str]]) -> str:
    """index.html of (file, what it shows)."""
    pictures = "\n".join(
        f'<img src="{escaped(local_href(file))}" alt="{escaped(shown)}" loading="lazy">'
        for file, shown in sheets
    )
    body = f"<p>{escaped(METHOD)}</p>\n{pictures}"
    return plain_page(f"What {run} can be led to", STYLE, body)
