"""Artworks are made beside one another where that is quicker, and are the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jobs.finish
from jobs import Job
from jobs.finish import MOST_TOGETHER, Upscale, finish
from machineray.finish import rrdn

PICTURES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small pictures of noise."""
    from machineray.imaging import encode, from_array

    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (12, 16, 3), np.uint8)
        (folder / f"{number}.png").write_bytes(encode(from_array(pixels), "png"))
    return folder


def artworks(folder: Path, root: Path, workers: int, **own: Any) -> dict[str, Any]:
    """Name -> bytes of each artwork, and what each sidecar says."""
    job = Job(stage="finish", run="r", root=str(root), input=str(folder), workers=workers)
    list(finish(job, **own))
    files = (root / "runs" / "r" / "finish" / "artworks").iterdir()
    return {
        path.name: json.loads(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
        for path in files
    }


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A GPU that is the CPU; one more each time that it was asked for an artwork."""
    plain: Callable[..., np.ndarray] = rrdn.enlarge
    begun: list[int] = []

    def enlarge(pixels: np.ndarray, *, device: str, is_bf16: bool) -> np.ndarray:
        assert device == "cuda"
        begun.append(1)
        return plain(pixels, device="cpu", is_bf16=is_bf16)

    monkeypatch.setattr(jobs.finish, "drawing_device", lambda: "cuda")
    monkeypatch.setattr(rrdn, "enlarge", enlarge)
    return begun


def test_without_super_resolution_every_core_has_one(folder: Path, tmp_path: Path) -> None:
    plain, ours = (
        artworks(folder, tmp_path / str(workers), workers, upscale=Upscale.none)
        for workers in (1, 3)
    )
    assert len(ours) == 2 * PICTURES and ours == plain


@pytest.mark.parametrize("workers", [1, 3, 2 * MOST_TOGETHER])
def test_those_of_a_gpu_are_those_of_one_after_the_other(
    folder: Path, tmp_path: Path, workers: int, request: pytest.FixtureRequest
) -> None:
    plain = artworks(folder, tmp_path / "plain", workers=1)
    begun = request.getfixturevalue("gpu")
    ours = artworks(folder, tmp_path / "gpu", workers)
    assert len(begun) == PICTURES and len(ours) == 2 * PICTURES
    for name, value in ours.items():
        if name.endswith(".json"):
            assert value["upscale"].pop("device") == "cuda"
            assert plain[name]["upscale"].pop("device") == "cpu"
        assert value == plain[name]
