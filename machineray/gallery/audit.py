"""The page of an audit: each sample beside the painting it is nearest to, the nearest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from machineray.markup import counted, escaped, local_href, plain_page

STYLE = """
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; overflow-wrap: anywhere; }
img { width: 100%; display: block; image-rendering: auto; }
figcaption { font-size: 13px; }
.copy { color: light-dark(#a02020, #ff9080); font-weight: 600; }
"""
METHOD = (
    "Left the sample, right the painting of the training that it is nearest to. Nearness is 1 for "
    "the same picture: by features, which see through mirroring, cropping and tints, and by small "
    "grey pictures, which see through blur. A sample is called a copy when it is much nearer than "
    "95 in 100 other paintings come. Look for yourself: the numbers only sort."
)


@dataclass(frozen=True)
class Pair:
    """A sample and its nearest painting in one picture file, and what was found."""

    seed: int
    painting: str
    attitude: str
    features: float
    thumbnail: float
    is_copy: bool
    file: str


def audit_page(run: str, pairs: Sequence[Pair], samples: int, copies: int, honest: str) -> str:
    """audit.html; `honest` says how near honest pictures come, "" where nothing was held out."""
    if not honest:
        verdict = "Nothing was held out to compare with: nothing can be called a copy."
    else:
        found = "1 copy" if copies == 1 else f"{copies:,} copies"
        verdict = f"{found} among {counted(samples, 'sample')}. {honest}"
    body = f"<p>{escaped(verdict)}</p>\n<p>{escaped(METHOD)}</p>\n"
    body += f'<div class="pairs">{"".join(_figure(pair) for pair in pairs)}</div>'
    return plain_page(f"Does {run} copy?", STYLE, body)


def _figure(pair: Pair) -> str:
    how = f" ({pair.attitude})" if pair.attitude else ""
    words = (
        f"seed {pair.seed}, nearest to {pair.painting}{how}: features {pair.features:.2f}, "
        f"thumbnail {pair.thumbnail:.2f}"
    )
    mark = '<span class="copy">copy</span> ' if pair.is_copy else ""
    return (
        f'<figure><img src="{escaped(local_href(pair.file))}" alt="" loading="lazy">'
        f"<figcaption>{mark}{escaped(words)}</figcaption></figure>"
    )
