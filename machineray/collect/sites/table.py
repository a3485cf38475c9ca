"""The table of sites: what `mray sources` prints, and what --source takes.

A new one is a module beside this file (its parsers pure, `paintings` and `estimate`) and one row.
"""

from machineray.collect.painting import Site
from machineray.collect.sites import (
    artic,
    cleveland,
    commons,
    met,
    rijksmuseum,
    smk,
    wikiart,
)
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
    Site(
        name="commons",
        title="Wikimedia Commons",
        home="https://commons.wikimedia.org",
        hosts=("commons.wikimedia.org", "upload.wikimedia.org"),
        seconds=1.0,
        rights="the file's licence is “Public domain” or “CC0”, and asks for no attribution",
        terms="each file has its own; programs say who they are (--contact)",
        terms_url="https://commons.wikimedia.org/wiki/Commons:Reusing_content_outside_Wikimedia",
        paintings=commons.paintings,
        estimate=commons.estimate,
        open_api=(commons.API,),
    ),
    Site(
        name="met",
        title="The Metropolitan Museum of Art",
        home="https://collectionapi.metmuseum.org",
        hosts=("collectionapi.metmuseum.org", "images.metmuseum.org"),
        seconds=0.5,
        rights="isPublicDomain is true, and rightsAndReproduction is empty",
        terms="Open Access: CC0 for what it marks as public domain",
        terms_url="https://www.metmuseum.org/policies/open-access",
        paintings=met.paintings,
        estimate=met.estimate,
        open_api=(f"{met.API}/",),
    ),
    Site(
        name="cleveland",
        title="The Cleveland Museum of Art",
        home="https://openaccess-api.clevelandart.org",
        hosts=("openaccess-api.clevelandart.org", "openaccess-cdn.clevelandart.org"),
        seconds=1.0,
        rights="share_license_status is CC0, and copyright is empty",
        terms="Open Access: CC0 for what it marks so",
        terms_url="https://www.clevelandart.org/open-access",
        paintings=cleveland.paintings,
        estimate=cleveland.estimate,
        open_api=(cleveland.API,),
    ),
    Site(
        name="artic",
        title="The Art Institute of Chicago",
        home="https://api.artic.edu",
        hosts=("api.artic.edu", "www.artic.edu"),
        seconds=1.0,
        rights="is_public_domain is true, and copyright_notice is empty",
        terms="CC0 for what it marks so; since June 2026 its pictures refuse most programs (403)",
        terms_url="https://www.artic.edu/open-access/open-access-images",
        paintings=artic.paintings,
        estimate=artic.estimate,
        open_api=(artic.API, f"{artic.IIIF}/"),
    ),
    Site(
        name="smk",
        title="SMK, the National Gallery of Denmark",
        home="https://api.smk.dk",
        hosts=("api.smk.dk", "*.smk.dk"),
        seconds=5.0,
        rights="public_domain is true and rights leads to the Public Domain Mark or to CC0",
        terms="SMK Open: CC0 for what is in the public domain",
        terms_url="https://www.smk.dk/en/article/smk-open/",
        paintings=smk.paintings,
        estimate=smk.estimate,
        open_api=(smk.API,),
    ),
    Site(
        name="rijksmuseum",
        title="The Rijksmuseum",
        home="https://data.rijksmuseum.nl",
        hosts=("data.rijksmuseum.nl", "id.rijksmuseum.nl", "iiif.micr.io"),
        seconds=1.0,
        rights="the record of what it shows is subject to Public Domain or CC0",
        terms="CC0 or the Public Domain Mark for what it marks so",
        terms_url="https://data.rijksmuseum.nl/policy/information-and-data-policy/",
        paintings=rijksmuseum.paintings,
        estimate=rijksmuseum.estimate,
        open_api=("https://data.rijksmuseum.nl/", "https://id.rijksmuseum.nl/"),
    ),
)


def site_named(name: str) -> Site:
    """The row of that name; UsageError names the others."""
    for site in SITES:
        if site.name == name:
            return site
    known = ", ".join(site.name for site in SITES)
    raise UsageError(f"--source {name}: no such source; there are {known} (mray sources)")
