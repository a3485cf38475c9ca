"""Objects under relative keys, in a folder or in an S3 bucket, behind one small interface.

    store = open_store("s3://bucket/prefix")    # or a folder
    store.write("runs/klee/run.json", b"...")   # nobody can observe a partly written object

A key is a relative POSIX path; no key may be a prefix folder of another. Servers list in different
orders: who needs one sorts. Failures that pass by themselves are retried; what remains is one of
errors.py.
"""

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from machineray.errors import (
    ConfigurationError,
    MachineRayError,
    NotFoundError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

TEMPORARY = ".mray-tmp"
_DAY_SECONDS = 86_400
_READ_TRIES = 5


@dataclass(frozen=True)
class Stored:
    """One object: its key below the store's root, and its size."""

    key: str
    size_bytes: int


class Store(Protocol):
    """Whole objects in, whole objects out."""

    url: str

    def read(self, key: str) -> bytes:
        """Return all of an object; NotFoundError when there is none."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a local file in pieces: its size does not matter."""

    def write(self, key: str, data: bytes | Path) -> None:
        """Put an object, from memory or a local file; an older one is replaced at once."""

    def create(self, key: str, data: bytes) -> bool:
        """Put an object only where none is; False when there was one.

        Some S3 servers ignore the condition: callers must be right without it.
        """

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Every object whose key starts with the prefix, in whatever order the server likes."""

    def folders(self, prefix: str) -> Sequence[str]:
        """The names that go on with a "/" right below a prefix that ends with one, sorted."""

    def size(self, key: str) -> int | None:
        """Bytes of an object, None when there is none."""

    def delete(self, key: str) -> None:
        """Remove an object; it may be gone already."""


def open_store(url: str | Path) -> Store:
    """The store at a folder's path or at s3://bucket/prefix; nothing is created or asked yet."""
    text = str(url)
    if text.startswith("s3://"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise UsageError(f"{text}: names no bucket; write s3://bucket or s3://bucket/prefix")
        return S3Store(bucket, prefix.strip("/"))
    if not text or "://" in text:  # "" would be the folder where one is
        raise UsageError(f"{text!r}: neither a folder nor s3://bucket/prefix")
    return FolderStore(Path(text).expanduser())


def read_file(place: str) -> bytes:
    """A file that an option names: a path, or s3://bucket/key; UsageError when it is a folder."""
    folder, _, name = place.rpartition("/")
    if not name:
        raise UsageError(f"{place!r}: not a file")
    if place.startswith("s3://"):
        return open_store(folder).read(name)
    path = Path(place).expanduser().absolute()
    if path.is_dir():
        raise UsageError(f"{place}: a folder, not a file")
    return open_store(path.parent).read(path.name)


def checked_key(key: str) -> str:
    """The key itself; UsageError when it could leave the root or means two things."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in key or "\0" in key:
        raise UsageError(f"{key!r}: not a key; write a relative path without '.' and '..'")
    return key


class FolderStore:
    """A store in a folder: temporary file, fsync, rename."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)

    def path(self, key: str) -> Path:
        """Where the object lies."""
        return self.root / checked_key(key)

    def read(self, key: str) -> bytes:
        """See Store."""
        with _os_errors(self.path(key)):
            return self.path(key).read_bytes()

    def download(self, key: str, path: Path) -> None:
        """See Store."""
        with _os_errors(self.path(key)):
            shutil.copyfile(self.path(key), path)

    def write(self, key: str, data: bytes | Path) -> None:
        """See Store."""
        target = self.path(key)
        with _os_errors(target), self._temporary(data) as temporary:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
            _sync_folder(target.parent)

    def create(self, key: str, data: bytes) -> bool:
        """See Store."""
        target = self.path(key)
        with _os_errors(target), self._temporary(data) as temporary:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError:  # no hard links here (exFAT, some network folders): as good as it gets
                if target.exists():
                    return False
                temporary.replace(target)
            _sync_folder(target.parent)
        return True

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See Store."""
        folder, _, _ = prefix.rpartition("/")
        if folder:
            checked_key(folder)
        with _os_errors(self.root):
            place: Path = self.root
            links: tuple[Path, ...] = ()
            for part in folder.split("/") if folder else ():
                place /= part
                led = _led(place, links) if place.is_symlink() else links
                if led is None:
                    return
                links = led
            yield from self._walk(folder, prefix, links)

    def _walk(self, folder: str, prefix: str, links: tuple[Path, ...] = ()) -> Iterator[Stored]:
        """What lies below; linked folders, too, but for those that lead back to where we are.

        `links`: where the links on the way here lay, and where they led to.
        """
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in found:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name == TEMPORARY:
                continue
            is_ours = key.startswith(prefix)
            if not (is_ours or prefix.startswith(key + "/")):
                continue
            try:
                if entry.is_dir():
                    led = _led(Path(entry.path), links) if entry.is_symlink() else links
                    if led is not None:
                        yield from self._walk(key, prefix, led)
                elif is_ours and entry.is_file():
                    yield Stored(key, entry.stat().st_size)
            except OSError as error:  # gone since, or a link to nowhere or to itself
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    raise

    def folders(self, prefix: str) -> Sequence[str]:
        """See Store."""
        folder = self.path(prefix.rstrip("/"))
        with _os_errors(folder):
            try:
                return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, key: str) -> int | None:
        """See Store."""
        with _os_errors(self.path(key)):
            try:
                return self.path(key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def delete(self, key: str) -> None:
        """See Store."""
        with _os_errors(self.path(key)):
            self.path(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _temporary(self, data: bytes | Path) -> Iterator[Path]:
        """A synced file beside the objects that is gone afterwards, whatever happens."""
        temporary = self._temporary_folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            if isinstance(data, Path):
                shutil.copyfile(data, temporary)
                descriptor = os.open(temporary, os.O_RDWR)
            else:
                descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(descriptor, "r+b") as file:
                if not isinstance(data, Path):
                    file.write(data)
                    file.flush()
                os.fsync(descriptor)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @cached_property
    def _temporary_folder(self) -> Path:
        folder = self.root / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():  # by processes that were killed
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _DAY_SECONDS:
                    left.unlink()
        return folder


def _led(link: Path, links: tuple[Path, ...]) -> tuple[Path, ...] | None:
    """The links' folders and ends with those of this one; None where it leads in a circle."""
    here, end = (*links, link.parent.resolve()), link.resolve()
    return None if any(place.is_relative_to(end) for place in here) else (*here, end)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_OS_REASONS = {
    errno.ENOSPC: "the disk is full: make room and run the same command again",
    errno.EDQUOT: "your disk quota is used up: make room and run the same command again",
    errno.EROFS: "the folder is read-only: choose another --root",
    errno.EACCES: "no permission: choose another --root or change the folder's rights",
    errno.EPERM: "not permitted: choose another --root or change the folder's rights",
    errno.EEXIST: "a file is in the way of a folder: move it or choose another --root",
    errno.ENOTDIR: "a file is in the way of a folder: move it or choose another --root",
    errno.EISDIR: "a folder is in the way of a file: move it or choose another --root",
    errno.ENAMETOOLONG: "the name is too long: use shorter names",
    errno.EIO: "the disk reports an error: check it before you go on",
}


@contextlib.contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename or path}: no such file or folder") from error
    except OSError as error:
        reason = _OS_REASONS.get(error.errno or 0, error.strerror or str(error))
        # Of a renaming the new name: the old one is a temporary file's.
        raise StorageError(f"{error.filename2 or error.filename or path}: {reason}") from error


@cache
def _service_descriptions() -> Any:
    """What botocore reads of S3, its regions and endpoints: 2 MB of JSON, for all our sessions."""
    from botocore.session import Session

    return Session().get_component("data_loader")


class S3Store:
    """A store in an S3 bucket. Address and credentials come by the AWS_* variables or files."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")

    @cached_property
    def client(self) -> "S3Client":
        """One client a process: it is thread-safe, a session is not."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 6},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            # R2, B2, GCS and older MinIO refuse boto3's new defaults; our markers hold a sha256.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            own = Session()  # the default one would keep old credentials
            own.register_component("data_loader", _service_descriptions())
            # Nobody here asks when an object was written: to parse that is half of a list's cost.
            own.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
            session = boto3.session.Session(botocore_session=own)
            return session.client(
                "s3", config=config, region_name=session.region_name or "us-east-1"
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"{self.url}: {error}; check the AWS_* variables and ~/.aws/config"
            ) from error

    def _address(self, key: str) -> Any:
        return {"Bucket": self.bucket, "Key": self.prefix + checked_key(key)}

    def _try(self, key: str, action: Callable[[], Any]) -> Any:
        """Call S3; its errors become ours, with the way out."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return action()
        except ClientError as error:
            raise self._translated(key, error) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._unreachable(key, error) from error

    def _translated(self, key: str, error: Any) -> MachineRayError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        where = f"{self.url}/{key}"
        if code == "NoSuchBucket":
            return NotFoundError(f"s3://{self.bucket}: no such bucket; create it, or check --root")
        if code in ("NoSuchKey", "NotFound", "404"):
            return NotFoundError(f"{where}: no such object")
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"):
            return ConfigurationError(f"{where}: the credentials are wrong or expired ({code})")
        if status in (401, 403):
            return StorageError(f"{where}: no permission ({code}); ask for read and write rights")
        if status in (429, 500, 502, 503, 504):
            reason = "" if code == str(status) else f" {code}"  # a HEAD has no body to tell more
            return StorageError(
                f"{where}: the server still answers {status}{reason} after several tries; "
                "earlier results are safe, run the same command again later"
            )
        return StorageError(f"{where}: {code}: {error.response['Error'].get('Message', '')}")

    def _unreachable(self, key: str, error: Exception) -> MachineRayError:
        from botocore.exceptions import NoCredentialsError, ParamValidationError

        if isinstance(error, NoCredentialsError):
            return ConfigurationError(
                f"{self.url}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_PROFILE"
            )
        if isinstance(error, ParamValidationError):
            return UsageError(f"{self.url}: not a valid bucket name")
        reason = " ".join(str(error).split())
        return StorageError(f"{self.url}/{key}: {reason}; check AWS_ENDPOINT_URL and the network")

    def _stream(self, key: str, sink: Callable[[Iterator[bytes]], Any]) -> Any:
        """Hand the body to `sink` in pieces, from the start again when the connection breaks."""
        from botocore.exceptions import (
            IncompleteReadError,
            ReadTimeoutError,
            ResponseStreamingError,
        )

        def attempt() -> Any:
            body = self.client.get_object(**self._address(key))["Body"]
            with contextlib.closing(body):
                return sink(body.iter_chunks(1 << 20))  # raises when the length is not as promised

        for again in range(_READ_TRIES - 1, -1, -1):
            try:
                return attempt()
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                if not again:
                    raise
                time.sleep(0.2 * 2 ** (_READ_TRIES - again))
        raise AssertionError("the loop returns or raises")

    def read(self, key: str) -> bytes:
        """See Store."""
        return bytes(self._try(key, lambda: self._stream(key, b"".join)))

    def download(self, key: str, path: Path) -> None:
        """See Store."""

        def sink(pieces: Iterator[bytes]) -> None:
            with path.open("wb") as file:
                file.writelines(pieces)

        with _os_errors(path):
            self._try(key, lambda: self._stream(key, sink))

    def write(self, key: str, data: bytes | Path) -> None:
        """See Store."""
        address = self._address(key)
        if isinstance(data, Path):
            with _os_errors(data):
                self._try(
                    key,
                    lambda: self.client.upload_file(str(data), address["Bucket"], address["Key"]),
                )
        else:
            self._try(key, lambda: self.client.put_object(**address, Body=data))

    def create(self, key: str, data: bytes) -> bool:
        """See Store."""
        from botocore.exceptions import ClientError

        def attempt() -> bool:
            try:
                self.client.put_object(**self._address(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code")
                if code in ("PreconditionFailed", "412"):
                    return False
                if code in ("NotImplemented", "501"):
                    if self.size(key) is not None:
                        return False
                    self.write(key, data)
                    return True
                if code not in ("ConditionalRequestConflict", "409"):
                    raise
                return self.size(key) is None and attempt()  # another writer was under way
            return True

        return bool(self._try(key, attempt))

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See Store."""

        def pages() -> Iterator[Any]:
            return iter(
                self.client.get_paginator("list_objects_v2").paginate(
                    Bucket=self.bucket, Prefix=self.prefix + prefix
                )
            )

        iterator = self._try(prefix, pages)
        while (page := self._try(prefix, lambda: next(iterator, None))) is not None:
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self.prefix)
                if key and not key.endswith("/"):  # the "folders" that consoles make
                    yield Stored(key, entry["Size"])

    def folders(self, prefix: str) -> Sequence[str]:
        """See Store."""
        checked_key(prefix.rstrip("/"))

        def pages() -> Sequence[str]:
            whole = self.prefix + prefix
            paginator = self.client.get_paginator("list_objects_v2")
            found = paginator.paginate(Bucket=self.bucket, Prefix=whole, Delimiter="/")
            names = [
                common["Prefix"] for page in found for common in page.get("CommonPrefixes", [])
            ]
            return sorted(name.removeprefix(whole).rstrip("/") for name in names)

        names: Sequence[str] = self._try(prefix, pages)
        return names

    def size(self, key: str) -> int | None:
        """See Store."""
        try:
            found = self._try(key, lambda: self.client.head_object(**self._address(key)))
        except NotFoundError:
            return None
        return int(found["ContentLength"])

    def delete(self, key: str) -> None:
        """See Store."""
        self._try(key, lambda: self.client.delete_object(**self._address(key)))
