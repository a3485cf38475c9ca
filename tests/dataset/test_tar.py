"""Shards: what goes in comes out, the same bytes every time, readable by anybody."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.dataset.tar import Sample, pack, unpacked
from machineray.errors import InputError
from machineray.imaging import encode, from_array

keys = st.text(st.sampled_from("abcXYZ019_-/"), min_size=1, max_size=300).filter(
    lambda key: not key.startswith("/") and not key.endswith("/") and "//" not in key
)


def packed(samples: list[Sample], folder: Path) -> bytes:
    path = folder / "shard.tar"
    pack(samples, path)
    return path.read_bytes()


@given(data=st.dictionaries(keys, st.tuples(st.binary(max_size=600), st.text(max_size=9))))
def test_what_is_packed_is_unpacked(
    data: dict[str, tuple[bytes, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    samples = [Sample(key, picture, {"id": text}) for key, (picture, text) in data.items()]
    folder = tmp_path_factory.mktemp("shard")
    tar = packed(samples, folder)
    assert list(unpacked(tar, "s")) == samples
    assert packed(samples, folder) == tar


def test_another_reader_finds_webdataset_pairs(tmp_path: Path) -> None:
    packed([Sample("a", b"1", {"n": 1}), Sample("b", b"2", {"n": 2})], tmp_path)
    with tarfile.open(tmp_path / "shard.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["a.webp", "a.json", "b.webp", "b.json"]
        assert all((m.mtime, m.uid, m.gid, m.uname) == (0, 0, 0, "") for m in members)
        file = tar.extractfile("b.json")
        assert file is not None
        assert json.load(file) == {"n": 2}


def test_shards_of_png_are_read_as_well(tmp_path: Path) -> None:
    pixels = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    png = encode(from_array(pixels), "png")
    (found,) = unpacked(packed([Sample("a", png, {"n": 1}, "png")], tmp_path), "s")
    assert (found.key, found.kind) == ("a", "png")
    assert np.array_equal(found.pixels(), pixels)


def test_a_cut_shard_is_refused_or_ends_between_two_samples(tmp_path: Path) -> None:
    samples = [Sample(key, bytes(700), {"n": key}) for key in "ab"]
    tar = packed(samples, tmp_path)
    refused = 0
    for end in range(0, len(tar), 97):
        try:
            assert list(unpacked(tar[:end], "s")) in (samples, samples[:1])
        except InputError as error:
            assert str(error).startswith("s: not a whole shard")
            refused += 1
    # A sample takes 5 blocks of 512; it counts as whole only with the header behind it, or none.
    assert refused >= 40


def test_half_a_sample_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(InputError, match="a is half there"):
        list(unpacked((tmp_path / "x.tar").read_bytes(), "s"))
