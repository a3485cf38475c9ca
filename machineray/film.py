"""Pictures one after the other into a file that plays: MP4 (H.264) or animated WebP.

By PyAV, frame by frame: what is in memory does not grow with an MP4's length. A WebP's encoded
frames stay there until its end. One thread and no clock: the same frames give the same bytes.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from machineray.errors import ConfigurationError
from machineray.imaging import from_array, to_array

LEAST_SIDE_PX = 512  # a film of 64 px is a stamp on a screen, and its colours have half of that
ITU_BT_709 = 1  # ITU-T H.273: primaries, transfer and matrix have one number for it
LIMITED_RANGE = 1


@dataclass(frozen=True)
class Codec:
    """An encoder, how it takes colours, its options, and the file's."""

    name: str
    pixels: str
    options: dict[str, str]
    file_options: dict[str, str]


# Without x264's mbtree: with it one film in ten was of other bytes where the CPU has AVX-512.
H264 = {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"}
CODECS = {
    ".mp4": Codec("libx264", "yuv420p", H264, {"movflags": "+faststart"}),
    ".webp": Codec("libwebp_anim", "bgra", {"quality": "85"}, {"loop": "0"}),  # 0: endlessly
}

Picture = NDArray[np.uint8]


def film_size(picture: Picture, least_side: int = LEAST_SIDE_PX) -> tuple[int, int]:
    """(height, width) of a film of such pictures: enlarged where they are small, and even."""
    height, width, _ = picture.shape
    times = max(1.0, least_side / min(height, width))
    return round(height * times / 2) * 2, round(width * times / 2) * 2


def enlarged(picture: Picture, size: tuple[int, int]) -> Picture:
    """(H, W, 3) -> (*size, 3), smoothly."""
    if picture.shape[:2] == size:
        return picture
    return to_array(from_array(picture).resize(size[::-1], Image.Resampling.BICUBIC))


@contextlib.contextmanager
def write_film(path: Path, fps: int) -> Iterator[Callable[[Picture], None]]:
    """Gives what adds a frame (H, W, 3), all of one even size; the suffix is .mp4 or .webp.

    ConfigurationError where PyAV is not installed.
    """
    codec = CODECS[path.suffix]
    with _av().open(str(path), "w", options=codec.file_options) as file:
        stream: Any = None

        def add(frame: Picture) -> None:
            nonlocal stream
            if stream is None:
                stream = _stream(file, codec, frame.shape[0], frame.shape[1], fps)
            file.mux(stream.encode(_converted(frame, codec.pixels)))

        yield add
        if stream is not None:
            file.mux(stream.encode())


def _stream(file: Any, codec: Codec, height: int, width: int, fps: int) -> Any:
    stream = file.add_stream(codec.name, rate=fps, options=codec.options)
    stream.height, stream.width, stream.pix_fmt = height, width, codec.pixels
    context = stream.codec_context
    context.thread_count = 1
    if codec.pixels == "yuv420p":
        context.color_primaries = context.color_trc = context.colorspace = ITU_BT_709
        context.color_range = LIMITED_RANGE
    return stream


def _converted(frame: Picture, pixels: str) -> Any:
    """RGB -> the encoder's colours: limited-range YUV by BT.709, as players expect, or RGB."""
    made = _av().VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    if pixels != "yuv420p":
        return made.reformat(format=pixels)
    return made.reformat(format=pixels, dst_colorspace="itu709", dst_color_range="MPEG")


def join_films(path: Path, parts: Iterable[Path]) -> None:
    """One MP4 of several made by `write_film` at one size and rate; nothing is encoded again."""
    with _av().open(str(path), "w", options=CODECS[".mp4"].file_options) as file:
        stream: Any = None
        start = 0
        for part in parts:
            with _av().open(str(part)) as source:
                (track,) = source.streams.video
                if stream is None:
                    stream = file.add_stream_from_template(track)
                    stream.time_base = track.time_base
                for packet in source.demux(track):
                    if packet.dts is None:  # the flush at the end
                        continue
                    packet.pts += start
                    packet.dts += start
                    packet.stream = stream
                    file.mux(packet)
                start += track.duration


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Pictures (H, W, 3) of one height in a row."""
    return np.ascontiguousarray(np.concatenate(pictures, axis=1))


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigurationError(
            f"films need PyAV, which cannot be loaded ({error}); pip install 'machineray[walk]'"
        ) from error
    av.logging.set_level(av.logging.ERROR)
    return av
