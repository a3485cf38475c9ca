"""A net that does its worst: each is refused, and the reason said."""

import gzip
import itertools
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from machineray.collect.answers import Cache, Lasting, PassingTrouble, Unfit
from machineray.collect.fetch import Web
from machineray.collect.guard import is_public, public_addresses
from machineray.collect.limits import Budget, Spent
from machineray.errors import TemporaryError
from tests.collect.clocks import BEGAN, Hand
from tests.collect.site import Page, Reply, Server
from tests.collect.webs import HOME, LIMITS, SITE, Shelf, web


def chunked(pieces: Iterator[bytes], type: str, **headers: str) -> Page:
    def page(handler: Any) -> None:
        handler.send_response(200)
        for name, value in (
            {"Content-Type": type, "Transfer-Encoding": "chunked"} | headers
        ).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    return page


def cut_short(handler: Any) -> None:
    Reply(b"x" * 100, "image/jpeg", headers={"Content-Length": "500"})(handler)
    handler.close_connection = True


def hangs_up(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def redirect(to: str) -> Reply:
    return Reply("", status=302, headers={"Location": to})


def with_a_strange_chunk(handler: Any) -> None:
    handler.wfile.write(CHUNKED + b"\r\nno number\r\n")


BOMB = gzip.compress(bytes(50_000_000), 9)
HUGE = {"Content-Length": str(10**15)}

WORST: dict[str, tuple[Page, Any, str]] = {
    "off the site": (redirect("https://evil.example/x"), "picture", "redirected: .*leads off A"),
    "to this machine": (redirect("http://127.0.0.1:22/"), "page", "redirected: .*leads off"),
    "to the metadata": (redirect("http://169.254.169.254/latest/"), "page", "leads off A museum"),
    "to a file": (redirect("file:///etc/passwd"), "page", "neither http nor https"),
    "to another port": (redirect("https://museum.example:22/"), "page", "port 22"),
    "to nowhere": (redirect("http://[bad"), "page", "redirected: .*not an address"),
    "with a name": (redirect("https://museum.example@evil.example/"), "page", "a user's name"),
    "in a circle": (redirect("/x"), "page", "more than 5 redirects"),
    "a page for a picture": (Reply("<html>"), "picture", "a web page instead of a picture"),
    "a page for JSON": (Reply("<html>"), "data", "a web page instead of JSON"),
    "a program": (Reply(b"MZ", "application/x-msdownload"), "picture", "x-msdownload instead of"),
    "said to be huge": (Reply(b"", "image/jpeg", headers=HUGE), "picture", "1000000000.0 MB, more"),
    "endless": (
        chunked(itertools.repeat(bytes(60_000)), "image/jpeg"),
        "picture",
        "over 2 MB, more than a picture may have: endless, or a bomb",
    ),
    "a gzip bomb": (
        Reply(BOMB, headers={"Content-Encoding": "gzip"}), "page", "over 1 MB.*a bomb"
    ),
    "a deflate bomb": (
        Reply(zlib.compress(bytes(10**7)), headers={"Content-Encoding": "deflate"}),
        "page",
        "over 1 MB.*a bomb",
    ),
    "packed wrongly": (
        Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), "page", "packed wrongly"
    ),
    "packed strangely": (
        Reply(b"x", headers={"Content-Encoding": "br"}), "page", "packed as 'br', which nobody"
    ),
    "gone": (Reply("", status=410), "page", "answers 410: no such page"),
}  # fmt: skip


def test_the_body_of_a_redirect_is_not_read(serve: Callable[..., Server]) -> None:
    def page(handler: Any) -> None:
        handler.wfile.write(CHUNKED.replace(b"200", b"302") + b"Location: /y\r\n")
        handler.wfile.write(b"Content-Encoding: gzip\r\n\r\n%x\r\n" % len(BOMB) + BOMB)

    asking = web(serve({"/x": page, "/y": Reply("here")}))
    assert asking.ask(f"{HOME}/x", "page").text == "here"
    assert asking.spent.bytes < len(BOMB)


LASTING = ("a program", "said to be huge", "endless", "gone")


@pytest.mark.parametrize("how", WORST)
def test_the_worst_is_refused_with_its_reason(how: str, serve: Callable[..., Server]) -> None:
    page, kind, words = WORST[how]
    server = serve({"/x": page})
    limits = replace(LIMITS, page_bytes=1_000_000, picture_bytes=2_000_000)
    asking = web(server, limits=limits)
    with pytest.raises(Unfit, match=words) as caught:
        asking.ask(f"{HOME}/x", kind)
    assert str(caught.value).startswith(f"{HOME}/x: ")
    before = len(server.asked)
    with pytest.raises(Unfit, match=words):
        asking.ask(f"{HOME}/x", kind)
    # What may be a fence's, and gone tomorrow, is asked for again.
    assert (len(server.asked) == before) == isinstance(caught.value, Lasting) == (how in LASTING)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n"
TRICKLES = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", "none within 0.3 s"),
    "a body": (CHUNKED + b"\r\n", b"1\r\nx\r\n", "not whole after 0.3 s: too slow"),
    "a closed body": (CHUNKED + b"Connection: close\r\n\r\n", b"1\r\nx\r\n", "not whole after 0.3"),
    "the length of a chunk": (CHUNKED + b"\r\n5", b";", "not whole after 0.3 s: too slow"),
    "trailers": (CHUNKED + b"\r\n5\r\nhello\r\n0\r\n", b"x: y\r\n", "not whole after 0.3 s"),
}


@pytest.mark.parametrize("what", TRICKLES)
def test_what_trickles_is_given_up(what: str, serve: Callable[..., Server]) -> None:
    """It never ends and is never silent for long; a watch cuts the connection."""
    beginning, more, words = TRICKLES[what]
    is_over = threading.Event()

    def page(handler: Any) -> None:
        handler.wfile.write(beginning)
        while not is_over.wait(0.01):
            handler.wfile.write(more)

    limit = "headers_seconds" if what == "headers" else "picture_seconds"
    asking = web(serve({"/api/x": page}), limits=replace(LIMITS, **{limit: 0.3}, tries=1))
    with pytest.raises(PassingTrouble, match=words):
        asking.ask(f"{HOME}/api/x", "picture")
    is_over.set()


def test_what_comes_for_nothing_counts_towards_the_budget(serve: Callable[..., Server]) -> None:
    """Without a word on its length, and each of them refused as too large."""
    pages = {f"/{n}": chunked(itertools.repeat(bytes(10_000), 50), "image/jpeg") for n in range(9)}
    limits = replace(LIMITS, picture_bytes=200_000)
    asking = web(serve(pages), limits=limits, budget=Budget(bytes=1_000_000))
    with pytest.raises(Spent, match="budget of 1 MB is used up"):
        for n in range(9):
            with pytest.raises(Unfit, match=r"over 0\.2 MB"):
                asking.ask(f"{HOME}/{n}", "picture")
    assert 1_000_000 <= asking.spent.bytes < 1_100_000


@pytest.mark.parametrize("beginning", [b"\r\n5\r\nhello\r\n0\r\n", b""])
def test_endless_trailers_or_headers_are_a_bomb(
    beginning: bytes, serve: Callable[..., Server]
) -> None:
    def page(handler: Any) -> None:
        handler.wfile.write(CHUNKED + beginning)
        for _ in range(1000):
            handler.wfile.write(b"x: " + b"y" * 60_000 + b"\r\n")

    asking = web(serve({"/x": page}), limits=replace(LIMITS, picture_bytes=1_000_000))
    with pytest.raises(Unfit, match=r"over 1 MB.*endless, or a bomb"):
        asking.ask(f"{HOME}/x", "picture")
    assert asking.spent.bytes < 1_400_000


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (cut_short, "400 more expected"),
        (hangs_up, "no answer"),
        (with_a_strange_chunk, "no answer"),
    ],
)
def test_a_broken_connection_is_tried_again(
    page: Page, words: str, serve: Callable[..., Server]
) -> None:
    server = serve({"/x": page})
    with pytest.raises(PassingTrouble, match=f"{words}.*5 times"):
        web(server).ask(f"{HOME}/x", "picture")
    assert server.paths.count("/x") == 5


def test_a_server_that_says_nothing_is_given_up(serve: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        limits = replace(LIMITS, silent_seconds=0.05, tries=2)
        with pytest.raises(TemporaryError, match=r"no answer \(.*timed out"):
            web(url, limits=limits).ask(f"{HOME}/x", "page")


def test_a_certificate_that_proves_nothing_is_not_believed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve({"/x": Reply("secret")}, wrap=self_signed(tmp_path))
    shelf, words = Shelf(), "the host cannot prove who it is"
    with pytest.raises(TemporaryError, match=rf"robots\.txt: {words} \(TLS: .*self-signed"):
        web(server, shelf).ask(f"{HOME}/x", "page")
    with pytest.raises(Unfit, match=words):
        web(server, shelf).ask(f"{HOME}/api/x")
    assert (server.asked, shelf) == ([], {})  # the next time it may prove it
    plain = serve({"/x": Reply("secret")})
    with pytest.raises(TemporaryError, match=words):
        web(plain.url.replace("http:", "https:")).ask(f"{HOME}/x", "page")


def self_signed(folder: Path) -> Callable[[Any], Any]:
    """What puts TLS with a certificate that nobody vouches for around a socket."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "museum.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return lambda plain: context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)


# -- private addresses


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "::"),
        *("64:ff9b::a00:1", "2002:a00:1::", "fec0::1", "::127.0.0.1", "::ffff:0:10.0.0.1"),
        "no address",
    ],
)
def test_what_is_private_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_a_name_that_leads_to_this_machine_is_not_connected_to(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The museum's own name, as whoever holds its DNS may let it lead anywhere."""
    server = serve({"/x": Reply("secret")})
    port = int(server.url.rpartition(":")[2])
    real = socket.getaddrinfo

    def lying(host: Any, asked_port: Any, *more: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "museum.example" else host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    cache = Cache(Shelf(), "c/")
    asking = Web(SITE, "x", cache, BEGAN, limits=LIMITS, clock=Hand().clock)
    with pytest.raises(Unfit, match=r"leads to the private address 127\.0\.0\.1"):
        asking.ask(f"{HOME}/api/x", "page")
    assert server.asked == []
    assert public_addresses("localhost", port, {f"localhost:{port}"})  # what --source-url names


@pytest.mark.parametrize("label", ["a.", "a" * 70])
def test_a_name_that_is_none_is_refused(label: str) -> None:
    asking = Web(SITE, "x", Cache(Shelf(), "c/"), BEGAN, limits=LIMITS, clock=Hand().clock)
    with pytest.raises(Unfit, match="not the name of a host"):
        asking.ask(f"https://{label}.museum.example/x.jpg", "picture")


def test_the_environment_neither_lends_a_proxy_nor_a_password(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server = serve({"/x": Reply("hello")})
    web(server).ask(f"{HOME}/x", "page")
    assert all("Authorization" not in headers for _, headers in server.asked)
