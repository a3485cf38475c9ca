"""What may enter the museum: whole, readable pictures that are what their name says."""

import hashlib
from pathlib import PurePosixPath
from typing import Any

from machineray.collect.catalog import FIELDS, UNKNOWN, Metadata
from machineray.collect.formats import EXTENSIONS
from machineray.errors import InputError
from machineray.imaging import MAX_PIXELS, decode_smaller, picture_format

MAX_BYTES = 1_000_000_000


def admit(
    data: bytes, name: str, metadata: Metadata = UNKNOWN, *, max_pixels: int = MAX_PIXELS
) -> dict[str, Any]:
    """The bytes of a file -> its catalog row; the picture is decoded once, to the file's last byte.

    The row's `key` is relative to the stage ("paintings/<id>.jpg"); the file is to be stored
    byte for byte. Of an animation or a document of many pages the first picture is meant, as
    `imaging.decode` reads it. A name without extension is taken at the bytes' word.

    Raises:
        InputError: empty, not a picture, misnamed, damaged, truncated, or a decompression bomb.
    """
    kind = picture_format(data, name)
    extension = PurePosixPath(name).suffix.lower()
    if extension and extension not in EXTENSIONS[kind]:
        raise InputError(
            f"{name}: misnamed: the bytes are {kind}, not {extension}: "
            f"rename it to {EXTENSIONS[kind][0]}, or export it anew"
        )
    width, height = decode_smaller(data, name, lambda *size: 8, max_pixels=max_pixels).size
    sha256 = hashlib.sha256(data).hexdigest()
    return {
        "id": sha256[:16],
        "key": f"paintings/{sha256[:16]}{EXTENSIONS[kind][0]}",
        "file": name,
        **{field: metadata.get(field) for field in FIELDS},
        "width": width,
        "height": height,
        "sha256": sha256,
        "bytes": len(data),
    }


def check_size(size_bytes: int, name: str) -> None:
    """InputError when a file is too large to be read into memory: asked before it is read."""
    if size_bytes > MAX_BYTES:
        raise InputError(
            f"{name}: {size_bytes / 1e9:.1f} GB, more than {MAX_BYTES / 1e9:g}: "
            "no scan of a painting needs that: export it smaller"
        )
