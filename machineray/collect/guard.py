"""Connections that lead out into the world, and to nothing private (SSRF).

A page may name any address: the metadata server of a cloud, a printer, this machine. Which address
a name leads to is looked up once and checked, and that very address is connected to: a name that
says something else a moment later changes nothing.
"""

import contextlib
import ipaddress
import socket
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from machineray.collect.answers import Unfit

# Ranges that lead elsewhere through a gateway that we know nothing of.
TUNNELS = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet: not private, local, reserved, a tunnel."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast


def public_addresses(host: str, port: int, allowed: Iterable[str] = ()) -> list[str]:
    """The addresses of a host; Unfit when any is private and the host is not among the allowed."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = [each for each in addresses if not is_public(each)]
    if private and f"{host.strip('[]')}:{port}" not in allowed:
        raise Unfit(
            f"{host}: leads to the private address {private[0]}, where no collection is: not asked "
            "(a mirror of your own is named by --source-url)"
        )
    return addresses


def guarded_session(allowed: Iterable[str]) -> requests.Session:
    """A session that connects to public addresses, and to the allowed "host:port", only.

    It knows no proxies and no passwords of the environment: a proxy would look names up for us.
    """
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.mount("https://", _Adapter(frozenset(allowed)))
    session.mount("http://", _Adapter(frozenset(allowed)))
    return session


class _Late(ConnectionError):
    """The watch ran out."""


@contextlib.contextmanager
def watched(session: requests.Session, seconds: float) -> Iterator[None]:
    """Cut the session's connections after so many seconds, and raise ConnectionError.

    A server that sends its headers byte by byte is never silent: no other limit would end it.
    """
    opened = [a.opened for a in session.adapters.values() if isinstance(a, _Adapter)]
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        for connection in {each for found in opened for each in found}:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if is_late.is_set():
            raise _Late(f"no answer within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if is_late.is_set():
        raise _Late(f"no answer within {seconds:g} s")


class _Adapter(HTTPAdapter):
    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed
        self.opened: weakref.WeakSet[Any] = weakref.WeakSet()
        super().__init__(max_retries=0, pool_connections=8, pool_maxsize=1)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        allowed, all_opened = self._allowed, self.opened

        class Plain(_Checked, HTTPConnection):
            permitted, opened = allowed, all_opened

        class Tls(_Checked, HTTPSConnection):
            permitted, opened = allowed, all_opened

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = Tls

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


class _Checked:
    """Connects to addresses that were looked at; TLS and the Host header keep the name."""

    permitted: frozenset[str]
    opened: weakref.WeakSet[Any]
    _dns_host: str
    port: int

    def _new_conn(self) -> socket.socket:
        self.opened.add(self)
        name = self._dns_host
        addresses = public_addresses(name, self.port, self.permitted)
        try:
            for number, address in enumerate(addresses, 1):
                self._dns_host = address
                try:
                    made: socket.socket = super()._new_conn()  # type: ignore[misc]
                    return made
                except NewConnectionError:
                    if number == len(addresses):
                        raise
        finally:
            self._dns_host = name
        raise socket.gaierror(f"{name}: no address")
