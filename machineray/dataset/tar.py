"""WebDataset shards: a tar with <key>.png and <key>.json a sample, the same bytes every time."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
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
        """The picture (H, W, 3); InputError when it is damaged."""
        return np.asarray(decode(self.png, f"{self.key}.png"), np.uint8)


def pack(samples: Iterable[Sample], path: Path) -> None:
    """Write the samples to a tar, in their order; owner, mode and time are constants.

    One sample at a time: memory does not grow with the shard.
    """
    # pax: keys made of long names do not fit into the 100 bytes of ustar.
    with tarfile.open(path, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            metadata = json.dumps(sample.metadata, ensure_ascii=False).encode()
            for name, data in ((f"{sample.key}.png", sample.png), (f"{sample.key}.json", metadata)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                member.mode = 0o644
                tar.addfile(member, io.BytesIO(data))


def unpacked(data: bytes, name: str) -> Iterator[Sample]:
    """The samples of a shard, one at a time; InputError names the shard."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            parts: dict[str, dict[str, bytes]] = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                file = tar.extractfile(member)
                found = parts.setdefault(key, {})
                found[kind] = file.read() if file else b""
                if {"png", "json"} <= found.keys():
                    yield Sample(key, found["png"], json.loads(found["json"]))
                    del parts[key]
    except (tarfile.TarError, ValueError) as error:
        raise InputError(f"{name}: not a whole shard ({error}); make it again") from error
    if parts:
        raise InputError(f"{name}: not a whole shard ({min(parts)} is half there); make it again")
