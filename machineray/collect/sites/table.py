"""The table of sites: what `mray sources` prints, and what --source takes.

A new one is a module beside this file (its parsers pure, `paintings` and `estimate`) and one row.
"""

from machineray.collect.painting import Site
from machineray.collect.sites import wikiart
from machineray.errors import UsageError

SITES = (
    Site(
        name="wikiart",
        title="WikiArt",
        home="https://www.wikiart.org",
        hosts=("www.wikiart.org", "*.wikiart.org"),
        seconds=1.0,
        rights="every label on the painting's page is exactly “Public domain”",
        terms="no open licence; nothing is claimed on the public domain; the texts are theirs",
        terms_url="https://www.wikiart.org/en/terms-of-use",
        paintings=wikiart.paintings,
        estimate=wikiart.estimate,
        headers={"X-Requested-With": "XMLHttpRequest"},
    ),
)


def site_named(name: str) -> Site:
    """The row of that name; UsageError names the others."""
    for site in SITES:
        if site.name == name:
            return site
    known = ", ".join(site.name for site in SITES)
    raise UsageError(f"--source {name}: no such source; there are {known} (mray sources)")
