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
from machineray.imaging import decode


@dataclass(frozen=True)
class Sample:
    """One training picture as PNG, with what is known about it. No dot in the key."""

    key: str
    png: bytes
    metadata: Mapping[str, Any]

    def pixels(self) -> NDArray[np.uint8]:
        """The picture (R, R, 3); InputError when it is damaged."""
        return np.asarray(decode(self.png, f"{self.key}.png"), np.uint8)


def packed(samples: Iterable[Sample]) -> bytes:
    """The tar of the samples, in their order; owner, mode and time are constants."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            metadata = json.dumps(sample.metadata, ensure_ascii=False).encode()
            for name, data in ((f"{sample.key}.png", sample.png), (f"{sample.key}.json", metadata)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                member.mode = 0o644
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(data: bytes, name: str) -> Iterator[Sample]:
    """The samples of a shard, one at a time; InputError names the shard."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            parts: dict[str, bytes] = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                file = tar.extractfile(member)
                parts[kind] = file.read() if file else b""
                if {"png", "json"} <= parts.keys():
                    yield Sample(key, parts["png"], json.loads(parts["json"]))
                    parts = {}
    except (tarfile.TarError, ValueError) as error:
        raise InputError(f"{name}: not a whole shard ({error}); make it again") from error
