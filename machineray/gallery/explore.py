"""The page of an exploration: one labelled sheet below the other."""

from collections.abc import Sequence
from string import Template

from machineray.gallery.markup import escaped, local_href

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
img { max-width: 100%; display: block; margin: 0 0 2rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$method</p>
$sheets
</body>
</html>
""")
METHOD = (
    "The first sheet shows truncation: psi pulls every picture towards the mean one. Each of the "
    "others shows one direction: along it the layers named change most, as their weights alone "
    "tell (SeFa, arXiv 2007.06600), the strongest direction first. Steps are standard deviations "
    "of w; in the middle stands the seed as it is. What a direction means is for you to see."
)


def explore_page(run: str, sheets: Sequence[tuple[str, str]]) -> str:
    """index.html of (file, what it shows)."""
    return PAGE.substitute(
        title=escaped(f"What {run} can be led to"),
        method=escaped(METHOD),
        sheets="\n".join(
            f'<img src="{escaped(local_href(file))}" alt="{escaped(shown)}" loading="lazy">'
            for file, shown in sheets
        ),
    )
