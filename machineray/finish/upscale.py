"""Super-resolution of a picture of any size by either engine."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from machineray.errors import InputError, UsageError
from machineray.finish.tiling import tiles

Engine = Literal["torch", "isr"]
Device = Literal["cpu", "cuda"]
SCALE = 4
# The network looks 153 px far, but hardly: measured over real, noisy and random pictures, a halo
# of 8 px leaves seams of up to 8 levels, 12 of 2, 16 of 1 (in 0.1 % of the values beside them).
HALO_PX = 16
# A tile is what fits the memory: torch holds 1024x1024 in 1.2 GiB in one piece, for it cuts inside
# the network, where that is exact; TensorFlow keeps all maps of a dense block.
TILE_PX: dict[str, int] = {"torch": 1024, "isr": 256}


def upscale(
    pixels: np.ndarray,
    engine: Engine = "torch",
    *,
    tile: int | None = None,
    halo: int = HALO_PX,
    device: Device = "cpu",
    is_bf16: bool = False,
) -> np.ndarray:
    """(H, W, 3) uint8 -> (4H, 4W, 3) uint8 by RRDN GANS.

    Args:
        pixels: sRGB, at least 1x1.
        engine: "torch" (ours) or "isr" (idealo's own code on TensorFlow).
        tile: side in pixels of the pieces that a larger picture is cut into; None = TILE_PX.
        halo: pixels of neighbourhood that each piece sees.
        device: of torch; the other engine finds its own.
        is_bf16: torch in bfloat16: twice as fast where the processor knows it, up to
            4 levels off.

    Raises:
        InputError: not an (H, W, 3) uint8 array.
        ConfigurationError: the engine is not installed.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(
            f"super-resolution: needs (H, W, 3) uint8 pixels, got {pixels.shape} {pixels.dtype}"
        )
    enlarge = _engine(engine, device, is_bf16)
    height, width, _ = pixels.shape
    out = np.empty((height * SCALE, width * SCALE, 3), np.uint8)
    for rows, columns in tiles(height, width, tile or TILE_PX[engine], halo):
        piece = pixels[rows.outer_start : rows.outer_stop, columns.outer_start : columns.outer_stop]
        enlarged = enlarge(piece)
        top = (rows.start - rows.outer_start) * SCALE
        left = (columns.start - columns.outer_start) * SCALE
        kept = out[
            rows.start * SCALE : rows.stop * SCALE, columns.start * SCALE : columns.stop * SCALE
        ]
        kept[:] = enlarged[top : top + kept.shape[0], left : left + kept.shape[1]]
    return out


def _engine(engine: str, device: Device, is_bf16: bool) -> Callable[[np.ndarray], np.ndarray]:
    # Each engine's library is loaded only when it is asked for: neither environment has both.
    if engine == "torch":
        from machineray.finish import rrdn

        return lambda piece: rrdn.enlarge(piece, device=device, is_bf16=is_bf16)
    if engine == "isr":
        from machineray.finish import isr

        isr.load_isr()
        return isr.enlarge
    raise UsageError(f"engine {engine}: not one of torch, isr")
