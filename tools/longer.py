"""What the demo gives when it runs for longer: the picture and the figures that ship with us.

    mray run pipeline examples/paintings --preset demo --kimg 30 --workers 1 --run longer
    .venv/bin/python tools/longer.py mray-data/runs/longer/train

Every demo's gallery shows them beside its own pictures.
"""

import argparse
import json
from pathlib import Path

from machineray.imaging import decode, encode

OUTPUT = Path(__file__).resolve().parent.parent / "machineray" / "gallery" / "longer"


def main() -> None:
    """Write longer.webp and longer.json from the newest grid of a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path, help="the folder RUN/train")
    folder: Path = parser.parse_args().train
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    grid = max((folder / "snapshots").glob("*.png"))
    nimg = int(grid.stem)
    last = max((row for row in rows if row["nimg"] <= nimg), key=lambda row: row["nimg"])
    arguments = json.loads((folder / "plan.json").read_text())["arguments"]
    image = decode(grid.read_bytes(), grid.name)
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "longer.webp").write_bytes(encode(image, "webp", quality=88))
    told = {
        "title": "What more time buys",
        "caption": (
            "Samples of the same network on the same paintings, trained for longer, with nothing "
            "else changed and no GPU. The larger presets, 256 to 1024 pixels, are made for one."
        ),
        "figures": [
            ["looked at", f"{nimg:,} pictures"],
            ["trained for", f"{last['seconds_total'] / 60:.0f} minutes"],
            ["on", f"{last['machine']}, shared with other programs"],
            ["preset", arguments["preset"]],
        ],
    }
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    (OUTPUT / "longer.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
