"""Fit what curate asks its network: representational? text? a watermark? (curate/weights.npz).

.venv/bin/python tools/fit_curate.py PAINTINGS                    fit to everything, write weights
.venv/bin/python tools/fit_curate.py PAINTINGS --cross-validate   measure on folds, write nothing
PAINTINGS holds train/ and representational/, each with a catalog.csv, and wikiart-224/.
`--fonts FOLDER` writes the made watermarks and pages in its TrueType fonts: for measuring on
letters that nothing was fitted on, since the fit itself uses the font within Pillow.

Of a painter both abstract and representational, each year is a painter of its own: no fold has
paintings by one hand of one year on both sides. What is made of a painting stays in its fold, and
the bounds are chosen on the folds too: where 9 of 10 that are called representational are, and
where 1 of 100 clean paintings is called watermarked. One thread; the same arguments and versions
give the same file.
"""

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from curate_pictures import text_page, watermarked
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from machineray.curate import seen
from machineray.curate.network import maps
from machineray.imaging import decode

FOLDS = 5
WORKING = 800  # longest side of a painting that gets a watermark, pixels
MADE = 2  # watermarked copies of each painting
PAGES = 200
RIDGE = 0.1  # of the logistic models, whose inputs have variance 1 / 864
HIDDEN, EPOCHS, PLACES = 32, 8, 240
PRECISION = 0.9  # of those called representational
FALSE_MARKS = 0.01  # of clean paintings called watermarked

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """N paintings: pooled maps (N, 864), fine maps (N, 14, 14, 112), and what was made of them."""

    pooled: Floats
    fine: Floats
    marked: Floats  # (N, MADE, 14, 14, 112)
    where: NDArray[np.bool_]  # (N, MADE, 14, 14)
    is_representational: NDArray[np.bool_]
    folds: NDArray[np.intp]
    others: Floats  # (M, 864): abstract works by other painters
    pages: Floats  # (PAGES, 864)


# --- pictures -> examples ------------------------------------------------------------------------


def examples(folder: Path, fonts: tuple[Path, ...]) -> Examples:
    """All pictures seen by the network: some five minutes."""
    pooled, fine, marked, where, hands, labels = [], [], [], [], [], []
    for name in ("train", "representational"):
        for row in catalog(folder / name):
            image = opened(folder / name / row["file"])
            image.thumbnail((WORKING, WORKING))
            one = maps(seen.squashed(image))
            pooled.append(seen.pooled(*one))
            fine.append(one[0])
            made = [watermarked(image, MADE * len(fine) + n, fonts) for n in range(MADE)]
            marked.append([maps(seen.squashed(copy))[0] for copy, _ in made])
            where.append([touched(change) for _, change in made])
            hands.append((row["artist"], row["year"]))
            labels.append(name == "representational")
    others = [pooled_of(opened(path)) for path in sorted((folder / "wikiart-224").glob("*.jpg"))]
    pages = [pooled_of(text_page(number, fonts)) for number in range(PAGES)]
    is_representational = np.array(labels)
    folds = folded(hands, is_representational)
    arrays = (pooled, fine, marked)
    return Examples(
        *(np.array(each, np.float64) for each in arrays),
        np.array(where),
        is_representational,
        folds,
        np.array(others, np.float64),
        np.array(pages, np.float64),
    )


def catalog(folder: Path) -> list[dict[str, str]]:
    """The rows of a folder's catalog.csv, by file."""
    with (folder / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["file"])


def opened(path: Path) -> Image.Image:
    """An upright RGB picture."""
    return decode(path.read_bytes(), path.name)


def pooled_of(image: Image.Image) -> Floats:
    """(864,) of one picture."""
    return np.asarray(seen.pooled(*maps(seen.squashed(image))), np.float64)


def touched(change: Floats) -> NDArray[np.bool_]:
    """(H, W) changes -> (14, 14), which places of the fine map a watermark touches."""
    small = Image.fromarray(change.astype(np.float32)).resize((14, 14), Image.Resampling.BOX)
    return np.asarray(small) > 8


def folded(hands: list[tuple[str, str]], labels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A fold for each painting: all of a hand in one, the representational ones spread evenly."""
    both = {
        artist
        for artist, _ in hands
        if len({label for (a, _), label in zip(hands, labels, strict=True) if a == artist}) > 1
    }
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (artist, year) in enumerate(hands):
        groups[artist, year if artist in both else ""].append(number)
    folds, load = np.zeros(len(hands), np.intp), np.zeros(FOLDS)
    for _, members in sorted(groups.items(), key=lambda g: (-labels[g[1]].sum(), -len(g[1]), g[0])):
        fold = int(load.argmin())
        folds[members] = fold
        load[fold] += 8 * labels[members].sum() + len(members)
    return folds


# --- models --------------------------------------------------------------------------------------


def logistic(inputs: Floats, labels: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Ridge logistic regression on standardised inputs (N, F), both classes of equal weight.

    Newton's method; -> weights (F,) and bias for inputs as they are.
    """
    mean, spread = inputs.mean(0), (inputs.std(0) + 1e-6) * np.sqrt(inputs.shape[1])
    x = np.c_[(inputs - mean) / spread, np.ones(len(inputs))]
    share = labels.mean()
    weight = np.where(labels, 0.5 / share, 0.5 / (1 - share))
    ridge = np.r_[np.full(x.shape[1] - 1, RIDGE), 1e-6]
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (weight * (p - labels)) + ridge * w
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        w -= np.linalg.solve(hessian, gradient)
        if np.abs(gradient).max() < 1e-8:
            break
    scaled = w[:-1] / spread
    return scaled, float(w[-1] - scaled @ mean)


def mark_model(e: Examples, chosen: NDArray[np.bool_]) -> dict[str, Floats]:
    """A small network for places of the fine map: is there part of a watermark?"""
    rng = np.random.default_rng(0)
    inputs, labels = [], []
    for n in np.flatnonzero(chosen):
        clean = e.fine[n].reshape(-1, e.fine.shape[-1])
        inputs.append(rng.permutation(clean)[:PLACES])
        labels.append(np.zeros(len(inputs[-1])))
        for made, where in zip(e.marked[n], e.where[n], strict=True):
            inputs.append(rng.permutation(made[where])[: PLACES // MADE])
            labels.append(np.ones(len(inputs[-1])))
    x, y = np.concatenate(inputs), torch.tensor(np.concatenate(labels), dtype=torch.float32)
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x = torch.tensor((x - mean) / spread, dtype=torch.float32)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x)).split(512):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[part])[:, 0], y[part])
            loss.backward()
            optimizer.step()
    first, bias, last, _ = (p.detach().numpy().astype(np.float64) for p in model.parameters())
    hidden = first.T / spread[:, None]
    return {"mark_hidden": hidden, "mark_hidden_bias": bias - mean @ hidden, "mark": last[0]}


def text_model(
    e: Examples, chosen: NDArray[np.bool_], pages: NDArray[np.bool_]
) -> tuple[Floats, float]:
    """Pages of text against paintings."""
    inputs = np.concatenate([e.pooled[chosen], e.pages[pages]])
    return logistic(inputs, np.arange(len(inputs)) >= chosen.sum())


# --- folds ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Scores by models that had not seen the picture, each without its final bound."""

    representational: Floats  # (N,)
    others: Floats  # (M,)
    clean: Floats  # (N,)
    marked: Floats  # (N, MADE)
    text: Floats  # (N,)
    pages: Floats  # (PAGES,)


def cross_validated(e: Examples) -> Measured:
    """Each picture scored by what was fitted without its fold."""
    n, page_folds = len(e.folds), np.arange(len(e.pages)) % FOLDS
    representational, clean, text = np.zeros(n), np.zeros(n), np.zeros(n)
    marked, pages, others = np.zeros((n, MADE)), np.zeros(len(e.pages)), np.zeros(len(e.others))
    for fold in range(FOLDS):
        out, out_pages = e.folds == fold, page_folds == fold
        w, bias = logistic(e.pooled[~out], e.is_representational[~out])
        representational[out] = e.pooled[out] @ w + bias
        others += (e.others @ w + bias) / FOLDS
        w, bias = text_model(e, ~out, ~out_pages)
        text[out], pages[out_pages] = e.pooled[out] @ w + bias, e.pages[out_pages] @ w + bias
        weights = weights_of(mark=mark_model(e, ~out))
        for row in np.flatnonzero(out):
            clean[row] = seen.marked(e.fine[row], weights)
            marked[row] = [seen.marked(made, weights) for made in e.marked[row]]
    return Measured(representational, others, clean, marked, text, pages)


def weights_of(mark: dict[str, Floats], **more: Floats | float) -> seen.Weights:
    """Weights as they ship; what is not given is zero."""
    zero = {f"{name}{part}": 0.0 for name in ("representational", "text") for part in ("", "_bias")}
    values = {**zero, "mark_bias": 0.0, **mark, **more}
    return seen.Weights(**{name: np.asarray(value, np.float32) for name, value in values.items()})


def bound_for_precision(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """The lowest score from which on PRECISION of the pictures are what they are called."""
    order = np.argsort(-scores, kind="stable")
    precision = np.cumsum(labels[order]) / np.arange(1, len(order) + 1)
    last = np.flatnonzero(precision >= PRECISION).max()
    following = scores[order[last + 1]] if last + 1 < len(order) else scores[order[last]] - 1
    return float(scores[order[last]] + following) / 2


def area(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often one of the two kinds scores above one of the other."""
    yes, no = scores[labels], scores[~labels]
    return float((yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean())


def bounds(e: Examples, m: Measured) -> tuple[float, float]:
    """Scores above which a picture is called representational, and watermarked."""
    marks = float(np.quantile(m.clean, 1 - FALSE_MARKS))
    return bound_for_precision(m.representational, e.is_representational), marks


def report(e: Examples, m: Measured) -> None:
    """The rows that bench/curate.py prints too."""
    subject, marks = bounds(e, m)
    called, truth = m.representational > subject, e.is_representational
    print(f"{'':<17} {'pictures':>8} {'AUC':>5} {'precision':>9} {'recall':>6}")
    print(
        f"{'representational':<17} {truth.sum():>4} of {len(truth)} "
        f"{area(m.representational, truth):.3f} "
        f"{truth[called].mean():>9.2f} {called[truth].mean():>6.2f}; of {len(e.others)} abstract "
        f"works by other painters {100 * (m.others > subject).mean():.0f} % called so"
    )
    for name, no, yes, bound in (
        ("watermark", m.clean, m.marked.ravel(), marks),
        ("text", m.text, m.pages, 0.0),
    ):
        scores, truth = np.r_[no, yes], np.arange(len(no) + len(yes)) >= len(no)
        called = scores > bound
        print(
            f"{name:<17} {len(yes):>4} made  {area(scores, truth):.3f} "
            f"{truth[called].mean():>9.2f} {called[truth].mean():>6.2f}; of {len(no)} clean "
            f"paintings {100 * (no > bound).mean():.1f} % called so"
        )


def main() -> None:
    """Fit, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument("--fonts", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fonts = tuple(sorted(arguments.fonts.rglob("*.ttf"))) if arguments.fonts else ()
    e = examples(arguments.paintings, fonts)
    measured = cross_validated(e)
    report(e, measured)
    if arguments.cross_validate:
        return
    subject, marks = bounds(e, measured)
    everything = np.ones(len(e.folds), np.bool_)
    w, bias = logistic(e.pooled, e.is_representational)
    text, text_bias = text_model(e, everything, np.ones(len(e.pages), np.bool_))
    weights = weights_of(
        mark_model(e, everything),
        representational=w,
        representational_bias=bias - subject,
        text=text,
        text_bias=text_bias,
        mark_bias=-marks,
    )
    np.savez(seen.WEIGHTS, **vars(weights))


if __name__ == "__main__":
    main()
