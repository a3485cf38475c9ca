import hashlib
import io
import json
import time

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from machineray.errors import InputError
from machineray.finish.artwork import FinishSettings, Origin, finish_picture
from machineray.finish.encoding import encode_artwork, srgb_profile
from machineray.finish.noise import SEED_SIGMA, add_noise
from machineray.imaging import Format

ORIGIN = Origin("seed000004", 4, "ab" * 32, 0.7, "cpu", {"paintings": 48, "artists": ["Klee"]})
LANCZOS = Image.Resampling.LANCZOS
FORMATS: list[Format] = ["png", "jpeg", "webp"]


def sample(side: int = 16) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([x * 15, y * 15, x * 0 + 90], 2).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("format", FORMATS)
def test_file_carries_colour_and_print_size(format: Format) -> None:
    pixels = sample(64)[:, :48]
    with Image.open(io.BytesIO(encode_artwork(pixels, format, dpi=300))) as image:
        image.load()
        assert image.format == format.upper()
        assert (image.width, image.height) == (48, 64)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        if format != "webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        if format != "png":
            exif = image.getexif()
            assert exif[ExifTags.Base.XResolution] == exif[ExifTags.Base.YResolution] == 300
            assert exif[ExifTags.Base.ResolutionUnit] == 2
        error = np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels)
        assert error.max() <= (0 if format == "png" else 24)
        assert error.mean() < 3


def test_bytes_know_no_clock() -> None:
    before = [encode_artwork(sample(), format, dpi=300) for format in FORMATS]
    srgb_profile.cache_clear()
    time.sleep(1.1)  # LittleCMS stamps profiles to the second
    assert [encode_artwork(sample(), format, dpi=300) for format in FORMATS] == before


def test_webp_is_too_small_for_the_largest() -> None:
    with pytest.raises(InputError, match="webp holds at most 16383"):
        encode_artwork(np.zeros((1, 16_384, 3), np.uint8), "webp", dpi=300)


@pytest.mark.parametrize(
    ("shape", "format", "reason"),
    [
        ((4100, 10), "webp", "40x16400: webp holds"),
        ((6000, 6000), "png", "than 500 million pixels"),
    ],
)
def test_what_nobody_could_write_is_not_enlarged(
    shape: tuple[int, int], format: Format, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("machineray.finish.artwork.upscale", lambda *_, **__: pytest.fail("made"))
    with pytest.raises(InputError, match=reason):
        finish_picture(np.zeros((*shape, 3), np.uint8), FinishSettings(format=format), ORIGIN)


def test_the_whole_chain() -> None:
    artwork = finish_picture(sample(), FinishSettings(), ORIGIN, aspects=[0.5, 0.5])
    assert (artwork.width, artwork.height) == (32, 64)
    assert artwork.aspect == 0.5
    assert artwork.suffix == ".png"
    with Image.open(io.BytesIO(artwork.data)) as image:
        np.testing.assert_array_equal(np.asarray(image), artwork.pixels)
    again = finish_picture(sample(), FinishSettings(), ORIGIN, aspects=[0.5, 0.5])
    assert again.data == artwork.data
    assert again.sidecar == artwork.sidecar


def test_noise_comes_before_the_super_resolution() -> None:
    plain = finish_picture(sample(), FinishSettings(noise_sigma=0), ORIGIN)
    noisy = finish_picture(sample(), FinishSettings(), ORIGIN)
    difference = noisy.pixels.astype(float) - plain.pixels
    assert difference.std() > 1
    # Grain of the sample is four pixels wide in the artwork.
    neighbours = np.corrcoef(difference[:, 1:].ravel(), difference[:, :-1].ravel())[0, 1]
    assert neighbours > 0.3


def test_sidecar_says_all() -> None:
    artwork = finish_picture(sample(), FinishSettings(dpi=150), ORIGIN)
    sidecar = json.loads(json.dumps(artwork.sidecar))
    assert sidecar == artwork.sidecar
    assert sidecar["sha256"] == hashlib.sha256(artwork.data).hexdigest()
    assert (sidecar["id"], sidecar["seed"], sidecar["psi"]) == ("seed000004", 4, 0.7)
    assert (sidecar["width"], sidecar["height"], sidecar["dpi"]) == (64, 64, 150)
    assert sidecar["drawn_on"] == "cpu"
    assert sidecar["print_cm"] == [1.08, 1.08]
    assert sidecar["aspect"] == {"width_by_height": 1.0, "from": "sample"}
    assert sidecar["noise"] == {"sigma_levels": SEED_SIGMA, "seed": 4}
    assert sidecar["upscale"]["engine"] == "torch"
    assert sidecar["upscale"]["weights_sha256"].startswith("433081793be0")
    assert set(sidecar["versions"]) == {"machineray", "numpy", "pillow", "torch"}
    assert "DIV2K" in sidecar["licence"]["remark"]
    assert sidecar["credits"]["artists"] == ["Klee"]


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_made_again_from_the_sample_and_its_sidecar(format: Format) -> None:
    settings = FinishSettings(noise_sigma=SEED_SIGMA / 8, scale=1, format=format, quality=80)
    told = json.loads(json.dumps(finish_picture(sample(64), settings, ORIGIN, [0.7]).sidecar))
    shaped = Image.fromarray(sample(64)).resize((told["width"], told["height"]), LANCZOS)
    noise = told["noise"]
    assert noise["sigma_levels"] == settings.noise_sigma  # to the last digit
    again = encode_artwork(
        add_noise(np.asarray(shaped), noise["seed"], noise["sigma_levels"]),
        told["format"],
        dpi=told["dpi"],
        quality=told["quality"] or 95,
        software=f"MachineRay {told['versions']['machineray']}",
    )
    assert hashlib.sha256(again).hexdigest() == told["sha256"]


def test_without_super_resolution() -> None:
    artwork = finish_picture(sample(), FinishSettings(scale=1, noise_sigma=0), ORIGIN)
    np.testing.assert_array_equal(artwork.pixels, sample())
    assert artwork.sidecar["upscale"] is None
    assert "torch" not in artwork.sidecar["versions"]
    assert "remark" not in artwork.sidecar["licence"]
