"""Addresses of a site: its own words for them, where they are really asked, and what is not its."""

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from machineray.collect.answers import Unfit
from machineray.collect.painting import Site
from machineray.errors import UsageError

_QUERY = "/%!:;@&=+$,~*'()-._?[]|"


@dataclass(frozen=True)
class Addresses:
    """Those of one site; `mirror` is where it is asked instead, or ""."""

    site: Site
    mirror: str = ""

    def checked(self, url: str) -> str:
        """The address in the site's own words; Unfit when it leads off the site."""
        try:
            parts = urlsplit(url.strip())
            host, port = (parts.hostname or "").lower(), parts.port
            path = quote(parts.path or "/", safe="/%!:;@&=+$,~*'()-._")
            query = f"?{quote(parts.query, safe=_QUERY)}" if parts.query else ""
        except ValueError as error:
            raise Unfit(f"{url}: not an address: {error}") from error
        is_own = any(_is_host(host, pattern) for pattern in self.site.hosts)
        if self.mirror and not is_own and host_and_port(url) == host_and_port(self.mirror):
            return self._unmirrored(url)
        if parts.scheme not in ("http", "https") or parts.username is not None:
            raise Unfit(f"{url}: neither http nor https, or with a user's name: not asked")
        if not is_own:
            raise Unfit(f"{url}: leads off {self.site.title}, to {host or 'nowhere'}: not asked")
        if port not in (None, 443 if parts.scheme == "https" else 80):
            raise Unfit(f"{url}: port {port} is not where web pages are: not asked")
        return f"https://{host}{path}{query}"  # also where a page says http

    def linked(self, at: str, location: str) -> str:
        """Where a redirect from one of the addresses leads; Unfit when that is off the site."""
        try:
            target = urljoin(self.actual(at), location)
        except ValueError as error:
            raise Unfit(f"{location}: not an address: {error}") from error
        return self.checked(target)

    def actual(self, url: str) -> str:
        """Where the address is really asked: at the mirror, if there is one.

        What lies on the site's first host stands there under its own path, what lies on others
        under /HOST/path, as `wget --mirror --span-hosts` would lay it.
        """
        if not self.mirror:
            return url
        host = urlsplit(url).hostname or ""
        path = url.removeprefix(f"https://{host}")
        return self.mirror + (
            path if host == urlsplit(self.site.home).hostname else f"/{host}{path}"
        )

    def _unmirrored(self, url: str) -> str:
        rest = url.strip().removeprefix(self.mirror)
        first, slash, path = rest.lstrip("/").partition("/")
        if any(_is_host(first.lower(), pattern) for pattern in self.site.hosts):
            return self.checked(f"https://{first}{slash}{path}")
        return self.checked(self.site.home + rest)


def path_of(url: str) -> str:
    """Path and query, as robots.txt looks at them."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _is_host(host: str, pattern: str) -> bool:
    """ "*.wikiart.org" is any host below wikiart.org."""
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def host_and_port(url: str) -> str:
    """ "host:port" with the port that the scheme means; "" for what is no address."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{(parts.hostname or '').lower()}:{port}"


def checked_mirror(name: str, url: str) -> str:
    """The address of --source-url without a "/" at its end; UsageError when it is none."""
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fine = False
    if not is_fine or parts.query or parts.username:
        raise UsageError(f"--source-url {name}={url}: write NAME=https://host or http://host:port")
    return url.rstrip("/")
