"""Recorded museums: their answers as SOURCES.md tells them, with four paintings each.

Of the four one is free, one is not open, one is by somebody who died too late, and one tells
nobody's death and no early year. Titles say which: "Free", "Closed", "Late", "Unproven".
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from machineray.collect.painting import Wanted
from machineray.collect.sites import artic, cleveland, commons, met, rijksmuseum, smk
from machineray.collect.sites.table import site_named
from tests.collect.site import Page, Reply, as_json, picture

WANTED = Wanted(year=2026, died_before=1956, max_side=1600)
# title, is open, died, year
PAINTINGS = (
    ("Free", True, 1940, 1921),
    ("Closed", False, 1940, 1921),
    ("Late", True, 1990, 1925),
    ("Unproven", True, None, 1950),
)


def placed(name: str, pages: Mapping[str, Page]) -> dict[str, Page]:
    """Pages by address -> by path, as a mirror has them."""
    home = urlsplit(site_named(name).home).hostname
    found = {}
    for url, page in pages.items():
        host = urlsplit(url).hostname
        path = url.removeprefix(f"https://{host}")
        found[path if host == home else f"/{host}{path}"] = page
    return found


def photo(name: str) -> Reply:
    return Reply(picture(name), "image/jpeg")


def cleveland_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    cdn = "https://openaccess-cdn.clevelandart.org"
    records = []
    for number, (title, is_open, died, year) in enumerate(PAINTINGS, 1):
        sizes = {"web": 900, "print": 3400, "full": 9000}
        life = f"(German, 1880–{died})" if died else "(German)"
        creator = {"description": f"Paul Klee {life}", "birth_year": "1880" if died else None}
        records.append(
            {
                "id": number,
                "accession_number": f"1958.{number}",
                "share_license_status": "CC0" if is_open else "Copyrighted",
                "title": title,
                "creation_date": str(year),
                "creation_date_earliest": year,
                "creation_date_latest": year,
                "creators": [{**creator, "death_year": str(died) if died else None}],
                "images": {
                    name: {
                        "url": f"{cdn}/1958.{number}/1958.{number}_{name}.jpg",
                        "width": str(side),
                        "height": str(side - 100),
                    }
                    for name, side in sizes.items()
                },
                "url": f"https://clevelandart.org/art/1958.{number}",
                "type": "Painting",
            }
        )
    first = {**records[0], "share_license_status": None}  # as a list may leave it out
    listed = {"info": {"total": 4}, "data": [first, *records[1:]]}
    pages = {cleveland.search(term, 0): as_json(listed) for term in cleveland.TERMS}
    pages[f"{cleveland.API}1"] = as_json({"data": records[0]})
    pages[f"{cdn}/1958.1/1958.1_web.jpg"] = photo("cleveland")
    return placed("cleveland", pages)


def met_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    numbers = list(range(1, len(PAINTINGS) + 3))
    pages: dict[str, Page] = {
        met.search("abstract"): as_json({"total": len(numbers), "objectIDs": numbers}),
        met.search("abstraction"): as_json({"total": 0, "objectIDs": None}),
    }
    for number, (title, is_open, died, year) in enumerate(PAINTINGS, 1):
        pages[f"{met.API}/objects/{number}"] = as_json(
            {
                "objectID": number,
                "isPublicDomain": is_open,
                "primaryImage": f"https://images.metmuseum.org/CRDImages/ma/original/{number}.jpg"
                if is_open
                else "",
                "primaryImageSmall": f"https://images.metmuseum.org/CRDImages/ma/web-large/{number}.jpg",
                "department": "Modern and Contemporary Art",
                "objectName": "Painting",
                "classification": "Paintings",
                "title": title,
                "artistDisplayName": "Paul Klee",
                "artistBeginDate": "1879",
                "artistEndDate": str(died or ""),
                "objectDate": str(year),
                "objectEndDate": year,
                "objectURL": f"https://www.metmuseum.org/art/collection/search/{number}",
            }
        )
    vase = {
        "isPublicDomain": True,
        "primaryImage": "x",
        "artistDisplayName": "",
        "objectName": "Vase",
    }
    pages[f"{met.API}/objects/5"] = as_json(vase)  # and 6 is no more
    pages["https://images.metmuseum.org/CRDImages/ma/original/1.jpg"] = photo("met")
    return placed("met", pages)


def artic_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    records = [
        {
            "id": number,
            "title": title,
            "artist_title": "Paul Klee",
            "artist_display": f"Paul Klee\nSwiss, 1879–{died}" if died else "Paul Klee\nSwiss",
            "date_end": year,
            "date_display": str(year),
            "image_id": f"image-{number}",
            "is_public_domain": is_open,
            "style_title": "abstract",
            "artwork_type_title": "Painting",
        }
        for number, (title, is_open, died, year) in enumerate(PAINTINGS, 1)
    ]
    body = {"pagination": {"total": 4, "limit": 100, "total_pages": 1}, "data": records}
    pages = {artic.search(term, 1): as_json(body) for term in artic.TERMS}
    side = wanted.max_side
    pages[f"{artic.IIIF}/image-1/full/!{side},{side}/0/default.jpg"] = photo("artic")
    return placed("artic", pages)


def smk_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    zero = "https://creativecommons.org/publicdomain/zero/1.0/"
    items = [
        {
            "object_number": f"KMS{number}",
            "titles": [{"title": title, "language": "da"}],
            "production": [
                {
                    "creator": "Giersing, Harald",
                    "creator_date_of_birth": "1881-04-24T00:00:00.000Z",
                    **({"creator_date_of_death": f"{died}-01-15T00:00:00.000Z"} if died else {}),
                }
            ],
            "production_date": [
                {"start": f"{year}-01-01", "end": f"{year}-12-31", "period": str(year)}
            ],
            "object_names": [{"name": "Maleri"}],
            "techniques": ["Olie på lærred"],
            "has_image": True,
            "public_domain": True,
            "rights": zero if is_open else "https://creativecommons.org/licenses/by-nc/4.0/",
            "image_iiif_id": f"https://iip.smk.dk/iiif/jp2/kms{number}.tif.jp2",
            "image_native": f"https://api.smk.dk/api/v1/download/kms{number}.jpg",
        }
        for number, (title, is_open, died, year) in enumerate(PAINTINGS, 1)
    ]
    sculpture = {**items[0], "object_number": "KAS9", "object_names": [{"name": "Skulptur"}]}
    body = {"offset": 0, "rows": 100, "found": 5, "items": [*items, sculpture]}
    pages = {smk.search(term, 0): as_json(body) for term in smk.TERMS}
    side = wanted.max_side
    iiif = f"https://iip.smk.dk/iiif/jp2/kms1.tif.jp2/full/!{side},{side}/0/default.jpg"
    return placed("smk", {**pages, iiif: photo("smk")})


def commons_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    upload = "https://upload.wikimedia.org/wikipedia/commons"
    mark = "https://creativecommons.org/publicdomain/mark/1.0/"
    members = {}
    for number, (title, is_open, died, year) in enumerate(PAINTINGS, 1):
        life = f" (1879–{died})" if died else ""
        members[str(number)] = {
            "pageid": number,
            "ns": 6,
            "title": f"File:{title} {number}.jpg",
            "imageinfo": [
                {
                    "url": f"{upload}/a/ab/{title}_{number}.jpg",
                    "thumburl": f"{upload}/thumb/a/ab/{title}_{number}.jpg/1600px-{number}.jpg",
                    "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{title}_{number}.jpg",
                    "width": 4000,
                    "height": 3000,
                    "mime": "image/jpeg",
                    "extmetadata": {
                        "LicenseShortName": {
                            "value": "Public domain" if is_open else "CC BY-SA 4.0"
                        },
                        "LicenseUrl": {"value": mark},
                        "Artist": {"value": f'<bdi><a href="//x">Paul Klee</a></bdi>{life}'},
                        "ObjectName": {"value": title},
                        "DateTimeOriginal": {"value": f"{year}<div>date QS:P571,+{year}</div>"},
                    },
                }
            ],
        }
    below = "Category:Cubist paintings"
    first = {
        "batchcomplete": "",
        "continue": {"gcmcontinue": "file|42", "continue": "gcmcontinue||"},
        "query": {
            "pages": {
                "1": members["1"],
                "9": {"pageid": 9, "ns": 14, "title": below},
                "10": {"ns": 6, "title": "File:x.pdf", "imageinfo": [{"mime": "application/pdf"}]},
            }
        },
    }
    more = {"batchcomplete": "", "query": {"pages": {key: members[key] for key in ("2", "3")}}}
    last = {"batchcomplete": "", "query": {"pages": {key: members[key] for key in ("1", "4")}}}
    side = wanted.max_side
    goes_on = {"gcmcontinue": "file|42", "continue": "gcmcontinue||"}
    return placed(
        "commons",
        {
            commons.members(commons.CATEGORY, side, {}): as_json(first),
            commons.members(commons.CATEGORY, side, goes_on): as_json(more),
            commons.members(below, side, {}): as_json(last),
            f"{upload}/thumb/a/ab/Free_1.jpg/1600px-1.jpg": photo("commons"),
        },
    )


def rijksmuseum_pages(wanted: Wanted = WANTED) -> dict[str, Page]:
    """It does not tell when artists died: "Late" is late by its year."""
    ids = "https://id.rijksmuseum.nl/"
    pages: dict[str, Page] = {
        rijksmuseum.search(creator): as_json({"type": "OrderedCollectionPage", "orderedItems": []})
        for creator in rijksmuseum.CREATORS
    }
    following = f"{rijksmuseum.API}?pageToken=abc"
    numbers = range(1, len(PAINTINGS) + 1)
    for url, some, more in (
        (rijksmuseum.search(rijksmuseum.CREATORS[0]), numbers[:2], {"next": {"id": following}}),
        (following, numbers[2:], {}),
    ):
        pages[url] = as_json(
            {
                "type": "OrderedCollectionPage",
                "partOf": {"type": "OrderedCollection", "totalItems": 4},
                "orderedItems": [{"id": f"{ids}2000{n}", "type": "HumanMadeObject"} for n in some],
                **more,
            }
        )
    for number, (title, is_open, _, year) in enumerate(PAINTINGS, 1):
        year = 1940 if title == "Late" else year
        pages[f"{ids}2000{number}"] = as_json(
            {
                "type": "HumanMadeObject",
                "identified_by": [
                    {"type": "Identifier", "content": f"SK-A-{number}"},
                    {"type": "Name", "content": title},
                ],
                "produced_by": {
                    "type": "Production",
                    "timespan": {"identified_by": [{"type": "Name", "content": str(year)}]},
                },
                "shows": [{"id": f"{ids}2020{number}", "type": "VisualItem"}],
            }
        )
        right = "Public Domain" if is_open else "In Copyright"
        pages[f"{ids}2020{number}"] = as_json(
            {
                "type": "VisualItem",
                "subject_to": [{"identified_by": [{"type": "Name", "content": right}]}],
                "digitally_shown_by": [{"id": f"{ids}5000{number}", "type": "DigitalObject"}],
            }
        )
        pages[f"{ids}5000{number}"] = as_json(
            {
                "type": "DigitalObject",
                "access_point": [{"id": f"https://iiif.micr.io/X{number}/full/max/0/default.jpg"}],
            }
        )
    side = wanted.max_side
    pages[f"https://iiif.micr.io/X1/full/!{side},{side}/0/default.jpg"] = photo("rijks")
    return placed("rijksmuseum", pages)


MUSEUMS: dict[str, Callable[..., dict[str, Any]]] = {
    "commons": commons_pages,
    "met": met_pages,
    "cleveland": cleveland_pages,
    "artic": artic_pages,
    "smk": smk_pages,
    "rijksmuseum": rijksmuseum_pages,
}
