"""Connections that lead out into the world, and to nothing private (SSRF).

A page may name any address: the metadata server of a cloud, a printer, this machine. Which address
a name leads to is looked up once and checked, and that very address is connected to: a name that
says something else a moment later changes nothing.
"""

import contextlib
import http.client
import io
import ipaddress
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from machineray.collect.answers import Unfit

# The internet of today; but for what leads elsewhere through a gateway that we know nothing of.
UNICAST = ipaddress.ip_network("2000::/3")
TUNNELS = tuple(map(ipaddress.ip_network, ("2002::/16", "2001::/32")))


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet: not private, local, reserved, a tunnel."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in UNICAST or any(ip in network for network in TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast


def public_addresses(host: str, port: int, allowed: Iterable[str] = ()) -> list[str]:
    """The addresses of a host; Unfit when any is private and the host is not among the allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # an empty label, or one of more than 63 letters
        raise Unfit(f"{host}: not the name of a host ({error})") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = [each for each in addresses if not is_public(each)]
    if private and f"{host.strip('[]')}:{port}" not in allowed:
        raise Unfit(
            f"{host}: leads to the private address {private[0]}, where no collection is: not asked "
            "(a mirror of your own is named by --source-url)"
        )
    return addresses


@dataclass
class Guard:
    """What the connections of one session share."""

    allowed: frozenset[str]
    opened: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    handles: list[socket.socket] = field(default_factory=list)  # of what the watch may cut
    is_late: threading.Event = field(default_factory=threading.Event)
    watch: "Watch | None" = None  # of the request that is on its way

    def hold(self, sock: socket.socket) -> None:
        """Let the watch cut it, whoever closes it or wraps TLS around it in the meantime."""
        self.handles.append(socket.fromfd(sock.fileno(), sock.family, sock.type))
        if self.is_late.is_set():  # the name's address was too long in coming
            self.cut()

    def cut(self) -> None:
        """End every connection; who waits for a byte of it is told."""
        self.is_late.set()
        for handle in list(self.handles):
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


def guarded_session(allowed: Iterable[str]) -> requests.Session:
    """A session that connects to public addresses, and to the allowed "host:port", only.

    It knows no proxies and no passwords of the environment: a proxy would look names up for us.
    """
    session = _Session()
    session.trust_env = False
    session.headers.clear()
    adapter = _Adapter(Guard(frozenset(allowed)))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: for what it does not follow, requests would unpack the whole body all the same."""
        return None


class Late(ConnectionError):
    """The watch ran out."""


class Watch:
    """Looks at one request of a guarded session, from the name's address to the body's last byte.

        with Watch(session, received) as watch:
            with watch.most(60): ...  # ask
            with watch.most(120): ...  # read

    `size` is what has come over the wire: of headers, of the body, of what else a server sends.
    `received` is called with each piece's and with all of it; what it raises ends the request.
    """

    def __init__(self, session: requests.Session, received: Callable[[int, int], None]) -> None:
        adapter = session.get_adapter("https://")
        assert isinstance(adapter, _Adapter)
        self._guard, self._received, self.size = adapter.guard, received, 0

    def count(self, size: int) -> None:
        """A piece has come."""
        self.size += size
        self._received(size, self.size)

    def __enter__(self) -> Self:
        self._guard.watch = self
        self._guard.is_late.clear()
        for connection in set(self._guard.opened):
            if connection.sock is not None:
                self._guard.hold(connection.sock)
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._guard.handles:
            handle.close()
        self._guard.handles.clear()
        self._guard.watch = None

    @contextlib.contextmanager
    def most(self, seconds: float) -> Iterator[None]:
        """Cut what is open after so many seconds of a real clock, and raise Late.

        A server that sends byte by byte is never silent: no other limit would end it.
        """
        late = self._guard.is_late
        timer = threading.Timer(seconds, self._guard.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if late.is_set():
                raise Late(f"none within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()
            timer.join()  # or it would cut what comes after
        if late.is_set():
            raise Late(f"none within {seconds:g} s")


class _Adapter(HTTPAdapter):
    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        super().__init__(max_retries=0, pool_connections=8, pool_maxsize=1)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        shared = self.guard

        class Plain(_Checked, HTTPConnection):  # type: ignore[misc]
            guard = shared

        class Tls(_Checked, HTTPSConnection):  # type: ignore[misc]
            guard = shared

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


class _Checked:
    """Connects to addresses that were looked at; TLS and the Host header keep the name."""

    guard: Guard
    _dns_host: str
    port: int

    def _new_conn(self) -> socket.socket:
        self.guard.opened.add(self)
        name = self._dns_host
        addresses = public_addresses(name, self.port, self.guard.allowed)
        try:
            for number, address in enumerate(addresses, 1):
                self._dns_host = address
                try:
                    made: socket.socket = super()._new_conn()  # type: ignore[misc]
                    self.guard.hold(made)
                    return made
                except NewConnectionError:
                    if number == len(addresses):
                        raise
        finally:
            self._dns_host = name
        raise socket.gaierror(f"{name}: no address")

    def response_class(self, *arguments: Any, **options: Any) -> http.client.HTTPResponse:
        """The response to a request, each of its bytes counted."""
        response = http.client.HTTPResponse(*arguments, **options)
        response.fp = io.BufferedReader(_Counted(response.fp.detach(), self.guard))
        return response


class _Counted(io.RawIOBase):
    """What is read from a socket, told piece by piece."""

    def __init__(self, raw: io.RawIOBase, guard: Guard) -> None:
        self._raw, self._guard = raw, guard

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = self._raw.readinto(buffer)
        if self._guard.watch:
            self._guard.watch.count(size or 0)
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()
