"""WebDataset shards: a tar with <key>.webp and <key>.json a sample, the same bytes every time."""

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
from machineray.imaging import decode, to_array

KINDS = ("webp", "png")  # lossless both; what is written is the first


@dataclass(frozen=True)
class Sample:
    """One training picture as a file's bytes, with what is known about it. No dot in the key."""

    key: str
    picture: bytes
    metadata: Mapping[str, Any]
    kind: str = KINDS[0]

    def pixels(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3); InputError when it is damaged."""
        return to_array(decode(self.picture, f"{self.key}.{self.kind}"))


def pack(samples: Iterable[Sample], path: Path) -> None:
    """Write the samples to a tar, in their order; owner, mode and time are constants.

    One sample at a time: memory does not grow with the shard.
    """
    # pax: keys made of long names do not fit into the 100 bytes of ustar.
    with tarfile.open(path, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            metadata = json.dumps(sample.metadata, ensure_ascii=False).encode()
            for kind, data in ((sample.kind, sample.picture), ("json", metadata)):
                member = tarfile.TarInfo(f"{sample.key}.{kind}")
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
                picture = next((kind for kind in KINDS if kind in found), None)
                if picture and "json" in found:
                    yield Sample(key, found[picture], json.loads(found["json"]), picture)
                    del parts[key]
    except (tarfile.TarError, ValueError) as error:
        raise InputError(f"{name}: not a whole shard ({error}); make it again") from error
    if parts:
        raise InputError(f"{name}: not a whole shard ({min(parts)} is half there); make it again")
