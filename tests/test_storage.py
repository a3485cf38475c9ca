"""Both stores against the same contract: a real folder, and a real S3 server."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machineray.errors import ConfigurationError, NotFoundError, StorageError, UsageError
from machineray.storage import TEMPORARY, FolderStore, Store, open_store

STORES = [
    pytest.param("folder"),
    pytest.param("s3", marks=pytest.mark.xdist_group("s3")),
]


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "root")
    return open_store(request.getfixturevalue("s3_root") + "/some/prefix")


@pytest.mark.parametrize("store", STORES, indirect=True)
class TestContract:
    def test_what_is_written_is_read(self, store: Store, tmp_path: Path) -> None:
        data = os.urandom(300_000)
        store.write("a/b.bin", data)
        store.download("a/b.bin", tmp_path / "copy")
        assert store.read("a/b.bin") == data
        assert (tmp_path / "copy").read_bytes() == data
        assert store.size("a/b.bin") == len(data)

    def test_a_file_is_written_and_replaces(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(b"new")
        store.write("a", b"old and longer")
        store.write("a", tmp_path / "source")
        assert store.read("a") == b"new"

    def test_create_only_writes_once(self, store: Store) -> None:
        assert store.create("plan.json", b"first")
        assert not store.create("plan.json", b"second")
        assert store.read("plan.json") == b"first"

    def test_of_many_creators_one_wins(self, store: Store) -> None:
        won: list[int] = []

        def create(number: int) -> None:
            if store.create("plan.json", b"%d" % number):
                won.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [b"%d" % number for number in won] == [store.read("plan.json")]

    def test_what_is_not_there(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such"):
            store.read("nothing")
        with pytest.raises(NotFoundError):
            store.download("nothing", tmp_path / "x")
        assert store.size("nothing") is None
        assert list(store.list("nothing")) == []
        store.delete("nothing")

    def test_delete(self, store: Store) -> None:
        store.write("a", b"1")
        store.delete("a")
        assert store.size("a") is None

    def test_listing_finds_by_prefix(self, store: Store) -> None:
        keys = ["b/2", "b/10", "b.txt", "b-1", "a", "c/d/e", "b/ü", "bb"]
        for key in keys:
            store.write(key, key.encode())
        listed = sorted((stored.key, stored.size_bytes) for stored in store.list())
        assert listed == sorted((key, len(key.encode())) for key in keys)
        assert {stored.key for stored in store.list("b/")} == {"b/10", "b/2", "b/ü"}
        assert {stored.key for stored in store.list("b/1")} == {"b/10"}

    @pytest.mark.parametrize("key", ["../x", "/x", "a//b", "a/./b", "", "a/../../x", "a\\b"])
    def test_no_key_leaves_the_root(self, store: Store, key: str) -> None:
        with pytest.raises(UsageError):
            store.write(key, b"")
        with pytest.raises(UsageError):
            store.read(key)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.lists(st.text("ab-.0", min_size=1, max_size=3), min_size=1, max_size=3)
        .map("/".join)
        .filter(lambda key: not {".", ".."} & set(key.split("/"))),
        st.binary(max_size=8),
        max_size=8,
    )
)
def test_a_folder_is_a_dictionary(objects: dict[str, bytes]) -> None:
    # No key is a prefix folder of another: the one rule that callers keep.
    objects = {
        key: data
        for key, data in objects.items()
        if not any(other.startswith(key + "/") for other in objects)
    }
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        for key, data in objects.items():
            store.write(key, data)
        assert {stored.key: store.read(stored.key) for stored in store.list()} == objects


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for path in (root / "a" / "x", root / "b" / "y", outside / "z"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    links = {"file": outside / "z", "folder": outside, "up": root, "a/b": root / "b"}
    for name, target in {**links, "b/a": root / "a", "self": Path("self"), "no": Path()}.items():
        (root / name).symlink_to(target if name != "no" else "nowhere")
    found = [stored.key for stored in FolderStore(root).list()]
    assert found == ["a/b/y", "a/x", "b/a/x", "b/y", "file", "folder/z"]
    assert [stored.key for stored in FolderStore(root).list("folder/")] == ["folder/z"]


def test_links_to_folders_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    for name in ("elsewhere/b.jpg", "root/in/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"picture")
    (tmp_path / "root/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "root")
    (tmp_path / "root/in/up").symlink_to(tmp_path)
    store = open_store(tmp_path / "root")
    assert [stored.key for stored in store.list()] == ["in/a.jpg", "linked/b.jpg"]
    assert [stored.key for stored in store.list("linked/")] == ["linked/b.jpg"]


def test_a_killed_writer_leaves_no_half_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("x", b"old" * 1000)
    code = (
        "import sys; from pathlib import Path; from machineray.storage import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1])); print('ready', flush=True)\n"
        "while True: store.write('x', b'new' * 3_000_000)"
    )
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
        writer.wait()
        writer.stdout.close()
        assert store.read("x") in (b"old" * 1000, b"new" * 3_000_000)
    assert [stored.key for stored in store.list()] == ["x"]


def test_what_killed_writers_left_goes_after_a_day(tmp_path: Path) -> None:
    (tmp_path / TEMPORARY).mkdir()
    for name, age_seconds in (("old", 200_000), ("young", 10)):
        path = tmp_path / TEMPORARY / name
        path.write_bytes(b"")
        os.utime(path, (path.stat().st_mtime - age_seconds,) * 2)
    FolderStore(tmp_path).write("x", b"1")
    assert [path.name for path in (tmp_path / TEMPORARY).iterdir()] == ["young"]


def test_a_full_disk_is_said_and_earlier_results_stay(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        store = FolderStore(mount)
        store.write("small", b"1" * 1000)
        with pytest.raises(StorageError, match="disk is full: make room"):
            store.write("large", b"1" * 3_000_000)
        assert [stored.key for stored in store.list()] == ["small"]
        assert list((mount / TEMPORARY).iterdir()) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StorageError, match="in the way"):
        FolderStore(tmp_path).write("a/b", b"1")


def test_a_name_that_is_too_long_is_told_by_itself(tmp_path: Path) -> None:
    """Not by the temporary file's, which is short."""
    with pytest.raises(StorageError, match=r"/k/nnn.*n: the name is too long"):
        open_store(tmp_path).write("k/" + "n" * 300, b"x")


def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
        if subprocess.run(command).returncode:
            pytest.skip("a read-only file system cannot be mounted here")
    else:
        tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="--root"):
            FolderStore(tmp_path).write("a", b"1")
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(tmp_path)], check=True)
        else:
            tmp_path.chmod(0o700)


@pytest.mark.parametrize("url", ["", "s3://", "http://x/y", "gs://bucket"])
def test_odd_roots_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


@pytest.mark.xdist_group("s3")
class TestS3Errors:
    def test_missing_bucket(self, s3_root: str) -> None:
        with pytest.raises(NotFoundError, match="no such bucket"):
            open_store("s3://no-such-bucket-here").write("x", b"1")

    def test_wrong_credentials(self, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises((StorageError, ConfigurationError), match=r"permission|credentials"):
            open_store(s3_root).write("x", b"1")

    def test_no_credentials(self, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID"):
            open_store(s3_root).write("x", b"1")


class Flaky(BaseHTTPRequestHandler):
    """An S3 server that fails: `plan` holds what the next requests get."""

    plan: list[str]
    body = b"0123456789" * 1000
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        action = self.plan.pop(0) if self.plan else "ok"
        if action == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if action == "cut":
            self.wfile.write(self.body[:100])
            self.close_connection = True
        else:
            self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Flaky]]:
    Flaky.plan, Flaky.asked = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    yield Flaky
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("plan", [["503"], ["cut"], ["503", "cut", "cut"]])
def test_a_flaky_server_is_asked_again(flaky: type[Flaky], plan: list[str]) -> None:
    flaky.plan = list(plan)
    assert open_store("s3://bucket").read("x") == flaky.body
    assert len(flaky.asked) == len(plan) + 1


def test_a_broken_server_is_said_in_one_line(
    flaky: type[Flaky], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    flaky.plan = ["cut"] * 50
    with pytest.raises(StorageError) as raised:
        open_store("s3://bucket").read("x")
    assert "\n" not in str(raised.value)
    flaky.plan = ["503"] * 50
    with pytest.raises(StorageError, match="still answers 503"):
        open_store("s3://bucket").download("x", tmp_path / "x")
