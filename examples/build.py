"""The 48 example paintings, made of a larger, labelled collection.

.venv/bin/python examples/build.py examples/paintings --collection FOLDER

chosen.csv is the choice, made by eye: abstract, colourful, unlike each other, by artists dead
before 1954, published before 1931. FOLDER gets the pictures, catalog.csv and CREDITS.md.
"""

import argparse
import csv
from pathlib import Path

from machineray.imaging import decode, encode

HERE = Path(__file__).resolve().parent
COLUMNS = ("file", "artist", "title", "year", "died", "source", "source_url", "rights")
LONG_SIDE_PX = 512
QUALITY = 88
MAX_BYTES = 4_000_000
RIGHTS = "Public domain (the artist died before 1954; published before 1931)"


def chosen_rows(collection: Path) -> list[dict[str, str]]:
    """The rows of the examples' catalog; KeyError names what the collection lacks."""
    with (collection / "catalog.csv").open(encoding="utf-8", newline="") as file:
        known = {row["file"]: row for row in csv.DictReader(file)}
    with (HERE / "chosen.csv").open(encoding="utf-8", newline="") as file:
        return [_row(known[row["file"]], row["title"]) for row in csv.DictReader(file)]


def _row(known: dict[str, str], title: str) -> dict[str, str]:
    if not (int(known["died"]) < 1954 and known["pd_us_pre1931"] == "yes"):
        raise ValueError(f"{known['file']}: not proven to be in the public domain")
    kept = {column: known.get(column, "") for column in COLUMNS}
    return kept | {"title": title, "rights": RIGHTS}


def example(data: bytes, name: str) -> bytes:
    """A picture's bytes -> the JPEG that ships: at most 512 px a side, sRGB."""
    image = decode(data, name)
    image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
    return encode(image, "jpeg", quality=QUALITY)


def credits_page(rows: list[dict[str, str]]) -> str:
    """CREDITS.md: one line a painting."""
    lines = [
        "# The example paintings",
        "",
        f"{len(rows)} paintings in the public domain in the United States and wherever rights end",
        "70 years after the artist's death. Reproductions scaled down to 512 pixels.",
        "",
        "| painting | artist | year | reproduction from |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['title']} | {row['artist']} (d. {row['died']}) | {row['year']} | {row['source']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def build(folder: Path, collection: Path) -> int:
    """Write the examples to the folder; the bytes of all pictures together."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = chosen_rows(collection)
    size_bytes = 0
    for row in rows:
        data = example((collection / row["file"]).read_bytes(), row["file"])
        (folder / row["file"]).write_bytes(data)
        size_bytes += len(data)
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (folder / "CREDITS.md").write_text(credits_page(rows), encoding="utf-8")
    if size_bytes > MAX_BYTES:
        raise ValueError(f"{size_bytes:,} bytes of pictures, more than {MAX_BYTES:,}")
    return size_bytes


def main() -> None:
    """Build the examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--collection", type=Path, required=True)
    arguments = parser.parse_args()
    size_bytes = build(arguments.folder, arguments.collection)
    parser.exit(message=f"{arguments.folder}: {size_bytes:,} bytes of pictures\n")


if __name__ == "__main__":
    main()
