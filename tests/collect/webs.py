"""A museum that nobody knows, asked at a server of ours."""

from typing import Any

from machineray.collect.answers import Cache
from machineray.collect.fetch import Web
from machineray.collect.limits import Limits
from machineray.collect.painting import Estimate, Site
from tests.collect.clocks import BEGAN, Hand
from tests.collect.site import Server, picture

HOME = "https://museum.example"
SITE = Site(
    name="museum",
    title="A museum",
    home=HOME,
    hosts=("museum.example", "*.museum.example"),
    seconds=1.0,
    rights="",
    terms="",
    terms_url="",
    paintings=lambda ask, wanted: iter(()),
    estimate=lambda ask, wanted: Estimate(0, 0, 0, ""),
    open_api=(f"{HOME}/api/",),
)
JPEG = picture("a")
LIMITS = Limits(connect_seconds=5, silent_seconds=5)


class Shelf(dict[str, bytes]):
    def put(self, key: str, data: bytes) -> None:
        self[key] = data


def web(
    server: Server | str, shelf: Shelf | None = None, hand: Hand | None = None, **more: Any
) -> Web:
    url = server if isinstance(server, str) else server.url
    cache = Cache(Shelf() if shelf is None else shelf, "cache/museum/")
    options = {"limits": LIMITS, "clock": (hand or Hand()).clock, "random": lambda: 0.5} | more
    return Web(SITE, "MachineRay/test", cache, BEGAN, mirror=url, **options)
