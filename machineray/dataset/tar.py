"""WebDataset shards: a tar with <key>.png and <key>.json a sample, the same bytes every time."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machineray.errors import InputError
from machineray.imaging import decode, encode, from_array


@dataclass(frozen=True)
class Sample:
    """One training picture (R, R, 3) with what is known about it. No dot in the key."""

    key: str
    pixels: NDArray[np.uint8]
    metadata: Mapping[str, Any]


def packed(samples: Iterable[Sample]) -> bytes:
    """The tar of the samples, in their order; owner, mode and time are constants."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            metadata = json.dumps(sample.metadata, ensure_ascii=False).encode()
            _add(tar, f"{sample.key}.png", encode(from_array(sample.pixels), "png"))
            _add(tar, f"{sample.key}.json", metadata)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(data))


def unpacked(data: bytes, name: str) -> Iterator[Sample]:
    """The samples of a shard, one at a time; InputError names the shard and the member."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            pending: dict[str, bytes] = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                file = tar.extractfile(member)
                if file is None:
                    raise InputError(f"{name}, {member.name}: not a file")
                pending[kind] = file.read()
                if {"png", "json"} <= pending.keys():
                    pixels = np.asarray(decode(pending["png"], f"{name}, {member.name}"))
                    yield Sample(key, pixels, json.loads(pending["json"]))
                    pending = {}
    except (tarfile.TarError, ValueError) as error:
        raise InputError(f"{name}: not a whole shard: {error}; make it again") from error
