"""The training pictures as one file of raw bytes, made once a machine, read a picture at a time.

PNGs are decoded once. What fits into `memory_bytes` is then held, the rest read when it is its
turn: memory does not grow with the museum, and a picture costs a copy.
"""

import fcntl
import hashlib
import json
import math
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from machineray.errors import InputError, StorageError

Shape = tuple[int, int, int, int]
KEPT_DAYS = 7
LEAST_PAINTINGS = 20  # of fewer, none is held out


class PictureStore:
    """uint8 pictures (N, 3, H, W), each with the id of its painting; index it as an array."""

    def __init__(self, path: Path, shape: Shape, ids: list[str], memory_bytes: int) -> None:
        self.shape: tuple[int, ...] = shape
        self.ids, self.path = ids, path
        self._picture_bytes = math.prod(shape[1:])
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        held = min(len(self), memory_bytes // self._picture_bytes)
        self._held = np.fromfile(path, np.uint8, held * self._picture_bytes)
        self._held = self._held.reshape(held, *shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One picture (3, H, W)."""
        if index < len(self._held):
            picture: NDArray[np.uint8] = self._held[index]
            return picture
        size = self._picture_bytes
        data = os.pread(self._file, size, index * size)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])


class Subset:
    """Some pictures of a store, as if there were no others."""

    def __init__(self, store: PictureStore, indices: Sequence[int]) -> None:
        self._store, self._indices = store, indices
        self.ids = [store.ids[index] for index in indices]
        self.shape: tuple[int, ...] = (len(indices), *store.shape[1:])

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """One picture (3, H, W)."""
        return self._store[self._indices[index]]

    def path_of(self, name: str) -> Path:
        """A file beside the store's that is about just these pictures."""
        digest = hashlib.sha256(json.dumps(list(self._indices)).encode()).hexdigest()
        return self._store.path.with_suffix(f".{digest[:16]}.{name}")


def held_out(ids: Sequence[str], share: float) -> set[str]:
    """About `share` of the paintings, which nobody learns from: to judge a network by.

    All variants of a painting together. Chosen by a hash of their ids: a new one moves no other.
    """
    paintings = sorted(set(ids))
    if len(paintings) < LEAST_PAINTINGS:
        return set()
    ranked = sorted(paintings, key=lambda name: hashlib.sha256(name.encode()).digest())
    return set(ranked[: round(share * len(ranked))])


def cached_store(
    folder: Path,
    name: str,
    shape: Shape,
    pictures: Callable[[], Iterable[tuple[str, NDArray[np.uint8]]]],
    memory_bytes: int,
) -> PictureStore:
    """The store of that name in the folder; made of (id, picture (H, W, 3)) where it is not yet.

    Of several processes one makes it and the others wait. InputError when the pictures are not
    those of the shape, StorageError when there is no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, about = folder / f"{name}.u8", folder / f"{name}.json"
    with _locked(folder / f"{name}.lock"):
        if not about.exists():
            _tidy(folder)
            ids = _fill(path, shape, pictures())
            half = about.with_suffix(".half")
            half.write_text(json.dumps({"shape": shape, "ids": ids}))
            half.replace(about)  # last: it says that the file is whole
    os.utime(about)  # in use
    told = json.loads(about.read_text())
    if path.stat().st_size != math.prod(shape) or tuple(told["shape"]) != shape:
        raise InputError(f"{path}: not what {about.name} says; remove both and start again")
    return PictureStore(path, shape, told["ids"], memory_bytes)


def _tidy(folder: Path) -> None:
    """Remove what nobody has used for KEPT_DAYS: the folder is a cache."""
    for about in folder.glob("*.json"):
        if time.time() - about.stat().st_mtime > KEPT_DAYS * 86400:
            for path in folder.glob(f"{about.stem}.*"):
                path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # goes with the process, however that ends
        yield


def _fill(path: Path, shape: Shape, pictures: Iterable[tuple[str, NDArray[np.uint8]]]) -> list[str]:
    """Write the pictures channel by channel; gives their ids."""
    ids: list[str] = []
    with path.open("wb") as file:
        _reserve(file.fileno(), path, math.prod(shape))
        for name, pixels in pictures:
            if pixels.shape != (*shape[2:], 3) or len(ids) == shape[0]:
                raise InputError(f"{name}: not one of {shape[0]} pictures of {shape[2:]}")
            file.write(pixels.transpose(2, 0, 1).tobytes())
            ids.append(name)
    if len(ids) != shape[0]:
        raise InputError(f"{len(ids)} pictures, not {shape[0]}: augment in a new run")
    return ids


def _reserve(file: int, path: Path, size_bytes: int) -> None:
    """Take the room that is needed now: a full disk is told before an hour of decoding."""
    try:
        os.ftruncate(file, size_bytes)
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file, 0, size_bytes)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: no room for {size_bytes / 1e9:.1f} GB of training pictures "
            f"({error.strerror}); set TMPDIR to a folder that has it"
        ) from error
