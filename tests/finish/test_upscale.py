import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from machineray.devices import drawing_device
from machineray.errors import ConfigurationError, InputError, UsageError
from machineray.finish import rrdn, tiling
from machineray.finish.upscale import upscale

PROJECT = Path(__file__).resolve().parents[2]
ISR_PYTHON = PROJECT / ".venv-isr" / "bin" / "python"


def levels(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.abs(left.astype(int) - right.astype(int))


def network_output(pixels: np.ndarray) -> np.ndarray:
    img = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        return rrdn.load_rrdn()(img)[0].permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def small() -> dict[str, np.ndarray]:
    """A drawn picture of 22x17 pixels and what the genuine ISR 2.2.0 makes of it."""
    with np.load(PROJECT / "tests" / "data" / "isr_small.npz") as file:
        return dict(file)


def test_agrees_with_genuine_isr(small: dict[str, np.ndarray]) -> None:
    assert np.abs(network_output(small["input"]) - small["float"]).max() < 1e-5
    difference = levels(upscale(small["input"]), small["predict"])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3  # a rounding border here and there, not a bias


@pytest.mark.parametrize("crop", [0, 1])
def test_agrees_with_genuine_isr_on_paintings(shared: Path, crop: int) -> None:
    with np.load(shared / "weights" / "isr_reference.npz") as file:
        pixels = file[f"input_{crop}"]
        assert np.abs(network_output(pixels) - file[f"float_{crop}"]).max() < 1e-5
        assert levels(upscale(pixels), file[f"predict_{crop}"]).max() <= 1


@pytest.fixture(scope="module")
def textured() -> np.ndarray:
    """An 80x60 picture with edges and strong noise: the hardest for seams."""
    rng = np.random.default_rng(1)
    pixels = np.repeat(np.repeat(rng.integers(0, 256, (6, 8, 3)), 10, 0), 10, 1)
    return (pixels + rng.normal(0, 8, pixels.shape)).round().clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(textured: np.ndarray) -> np.ndarray:
    """What is made of it in one piece."""
    return upscale(textured)


@pytest.mark.xdist_group("whole")
def test_tiles_leave_no_seam(textured: np.ndarray, whole: np.ndarray) -> None:
    difference = levels(upscale(textured, tile=32), whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-2
    # The measure sees a seam where there is one.
    assert levels(upscale(textured, tile=32, halo=2), whole).max() > 5


@pytest.mark.xdist_group("whole")
def test_blocks_inside_the_network_fit_exactly(
    textured: np.ndarray, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rrdn.BLOCK_PX, "cpu", 23)
    difference = levels(upscale(textured), whole)
    assert (difference > 0).mean() < 1e-4
    assert difference.max() <= 1
    monkeypatch.setattr(rrdn, "BLOCK_HALO_PX", 2)
    assert levels(upscale(textured), whole).max() > 1


def test_same_pixels_give_the_same_artwork(textured: np.ndarray) -> None:
    piece = textured[:20, :24]
    np.testing.assert_array_equal(upscale(piece), upscale(np.asfortranarray(piece)))


@settings(max_examples=12)
@given(st.integers(1, 50), st.integers(1, 70), st.integers(0, 2**32))
def test_any_size(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    enlarged = upscale(pixels)
    assert enlarged.shape == (4 * height, 4 * width, 3)
    assert enlarged.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 128, 255])
def test_grey_stays_grey(level: int) -> None:
    enlarged = upscale(np.full((24, 24, 3), level, np.uint8))
    centre = enlarged[32:-32, 32:-32].astype(int)
    assert np.abs(centre - level).max() <= 6


def test_bf16_is_near(small: dict[str, np.ndarray]) -> None:
    difference = levels(upscale(small["input"], is_bf16=True), small["predict"])
    assert difference.max() <= 8
    assert difference.mean() < 1.5


@pytest.mark.xdist_group("whole")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("tile", [None, 32])
def test_a_gpu_enlarges_alike(textured: np.ndarray, whole: np.ndarray, tile: int | None) -> None:
    drawing_device()
    difference = levels(upscale(textured, tile=tile, device="cuda"), whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-2


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_refuses_what_is_no_picture(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"needs .* uint8 pixels"):
        upscale(pixels)


def test_unknown_engine() -> None:
    with pytest.raises(UsageError, match="not one of torch, isr"):
        upscale(np.zeros((4, 4, 3), np.uint8), "waifu")  # type: ignore[arg-type]


def test_isr_says_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"make isr.*\.venv-isr/bin/mray run finish"):
        upscale(np.zeros((4, 4, 3), np.uint8), "isr")


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(0, 40))
def test_spans_cover_once(size: int, core: int, halo: int) -> None:
    pieces = tiling.spans(size, core, halo)
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(size))
    for piece in pieces:
        assert piece.outer_start == max(0, piece.start - halo)
        assert piece.outer_stop == min(size, piece.stop + halo)
        assert piece.outer_stop - piece.outer_start <= core + 2 * halo


def run_isr(source: Path, target: Path) -> None:
    script = (
        "import sys, numpy as np\n"
        "from machineray.finish.upscale import upscale\n"
        "np.save(sys.argv[2], upscale(np.load(sys.argv[1]), 'isr', tile=48))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run(
        [ISR_PYTHON, "-c", script, source, target],
        check=True,
        cwd=PROJECT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=240,
    )


def test_both_engines_agree(paintings: Path, tmp_path: Path) -> None:
    if not ISR_PYTHON.exists():
        pytest.skip("the environment of the genuine ISR (.venv-isr) is not there: make isr")
    from PIL import Image

    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    first = min(path for path in paintings.rglob("*") if path.suffix in suffixes)
    with Image.open(first) as painting:
        left, top = painting.width // 2, painting.height // 2
        crop = painting.convert("RGB").crop((left, top, left + 90, top + 60))
    np.save(tmp_path / "crop.npy", np.asarray(crop))
    run_isr(tmp_path / "crop.npy", tmp_path / "isr.npy")
    difference = levels(upscale(np.asarray(crop), tile=48), np.load(tmp_path / "isr.npy"))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_torch_engine_loads_no_tensorflow() -> None:
    script = (
        "import sys\n"
        "import machineray.finish.artwork\n"
        "assert 'torch' not in sys.modules, 'torch came before it was asked for'\n"
        "import numpy as np\n"
        "from machineray.finish.upscale import upscale\n"
        "upscale(np.zeros((2, 2, 3), np.uint8))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT, timeout=120)
