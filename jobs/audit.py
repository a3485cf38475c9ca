"""Whether a network copies: what `train` leaves at its end, and what `generate` makes of it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from machineray.runs import Row, StageRun, json_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from machineray.dataset.store import Subset
    from machineray.gan.memorisation import Baseline, Likeness, Match
    from machineray.gan.networks import Generator

BANK, REPORT, PAGE = "audit/bank.safetensors", "audit.json", "audit.html"
LEAST_AUDITED, MOST_AUDITED = 24, 200  # samples: it shall cost a twentieth of the training
SHOWN = 60
MOST_PAINTINGS = 2000
LEAST_HONEST = 20  # paintings that were held out, to say from them alone how near is honest
PAIR_PX = 256


def audited(
    output: StageRun, generator: "Generator", samples: int, seen: "Subset", unseen: "Subset"
) -> Iterator[str]:
    """Compare so many samples with the paintings, where the generator is: what was written."""
    from machineray.gan.features import last_maps
    from machineray.gan.memorisation import bank, baseline, likeness, matches, matches_among
    from machineray.gan.sampling import sample

    network = last_maps(generator.w_avg.device)
    paintings = _first_of_each(seen)
    names, others = list(paintings), _first_of_each(unseen).values()
    # Read as they are asked for: 850 paintings of 1024 px in eight attitudes are 21 GB.
    known = bank((_picture(seen, index) for index in paintings.values()), network)
    honestly = (_picture(unseen, index) for index in others)
    calm = matches(likeness(honestly, network), known) if others else []
    if 0 < len(calm) < LEAST_HONEST:  # a handful has no 95th in 100
        calm += matches_among(known)
    honest = baseline(calm) if calm else None
    drawn = dict(sample(generator, range(samples)))
    found = dict(zip(drawn, matches(likeness(list(drawn.values()), network), known), strict=True))
    output.write(BANK, bank_bytes(known, names, honest))
    yield BANK
    rows = [_row(seed, match, names, honest) for seed, match in found.items()]
    rows.sort(key=lambda row: -max(row["features"], row["thumbnail"]))
    pairs = []
    for row in rows[:SHOWN]:
        file = f"audit/seed{row['seed']:06d}.webp"
        output.write(file, _pair(drawn[row["seed"]], _picture(seen, paintings[row["painting"]])))
        pairs.append((row, file))
        yield file
    output.write(PAGE, _page(output.run, pairs, rows, honest))
    yield PAGE
    output.write(REPORT, json_bytes(_report(rows, honest)))
    yield REPORT


def _first_of_each(pictures: "Subset") -> dict[str, int]:
    """painting -> its first picture: variants are not paintings of their own."""
    first: dict[str, int] = {}
    for index, name in enumerate(pictures.ids):
        first.setdefault(name, index)
    return dict(list(first.items())[:MOST_PAINTINGS])


def _picture(pictures: "Subset", index: int) -> "NDArray[np.uint8]":
    return pictures[index].transpose(1, 2, 0)


def _row(seed: int, match: "Match", names: Sequence[str], honest: "Baseline | None") -> Row:
    return {
        "seed": seed,
        "painting": names[match.painting],
        "attitude": match.attitude,
        "features": round(match.features, 4),
        "thumbnail": round(match.thumbnail, 4),
        "copy": bool(honest and honest.flags(match)),
    }


def _report(rows: list[Row], honest: "Baseline | None") -> dict[str, Any]:
    return {
        "samples": len(rows),
        "copies": sum(row["copy"] for row in rows),
        "honest": {"features": honest.features, "thumbnail": honest.thumbnail} if honest else None,
        "nearest": rows[:SHOWN],
    }


def _page(
    run: str, pairs: list[tuple[Row, str]], rows: list[Row], honest: "Baseline | None"
) -> bytes:
    from machineray.gallery.audit import Pair, audit_page

    shown = [
        Pair(
            row["seed"],
            row["painting"],
            row["attitude"],
            row["features"],
            row["thumbnail"],
            row["copy"],
            file,
        )
        for row, file in pairs
    ]
    said = (
        f"95 of 100 other paintings come no nearer than {honest.features:.2f} by features and "
        f"{honest.thumbnail:.2f} by thumbnails: those that it never saw and, where they are few, "
        "each against the rest."
        if honest
        else ""
    )
    return audit_page(run, shown, len(rows), sum(row["copy"] for row in rows), said).encode()


def _pair(sample: "NDArray[np.uint8]", painting: "NDArray[np.uint8]") -> bytes:
    """Both side by side, the sample on the left."""
    import numpy as np

    from machineray.imaging import encode, from_array

    both = from_array(np.ascontiguousarray(np.concatenate((sample, painting), axis=1)))
    scale = min(1.0, PAIR_PX / sample.shape[0])
    size = (round(both.width * scale), round(both.height * scale))
    return encode(both.resize(size), "webp", quality=85)


# -- the bank as a file, and the judge that `generate` makes of it


def bank_bytes(known: "Likeness", names: Sequence[str], honest: "Baseline | None") -> bytes:
    """What the paintings are compared by, half precision; without the pictures themselves."""
    from machineray.gan.state import packed

    tensors = {"features": known.features.half(), "thumbnails": known.thumbnails.half()}
    line = [honest.features, honest.thumbnail] if honest else []
    return packed(tensors, {"names": list(names), "honest": line})


class CopyJudge:
    """Says of a sample whether it copies a painting."""

    def __init__(self, data: bytes) -> None:
        """From the bytes of BANK."""
        from machineray.gan.memorisation import Baseline, Likeness
        from machineray.gan.state import unpacked

        tensors, about = unpacked(data, BANK)
        self._names = [str(name) for name in about["names"]]
        self._known = Likeness(tensors["features"].double(), tensors["thumbnails"].double())
        self._honest = Baseline(*about["honest"]) if about["honest"] else None

    def copied(self, sample: "NDArray[np.uint8]") -> str:
        """What a sample (H, W, 3) copies, in words; "" for none."""
        from machineray.gan.features import last_maps
        from machineray.gan.memorisation import likeness, matches

        if self._honest is None:
            return ""
        (match,) = matches(likeness([sample], last_maps()), self._known)
        if not self._honest.flags(match):
            return ""
        how = f", {match.attitude}" if match.attitude else ""
        return f"too near to {self._names[match.painting]}{how}"
