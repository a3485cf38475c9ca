"""robots.txt (RFC 9309): its text -> what a crawler of our name may ask for, and how often."""

import re
import string
from dataclasses import dataclass
from urllib.parse import quote

ANYONE = "*"
UNRESERVED = string.ascii_letters + string.digits + "-._~"


@dataclass(frozen=True)
class Robots:
    """The rules that count for us: (is allowed, pattern) as they stand, and the seconds between.

    `unread` is why nobody could read them: then everything is forbidden.
    """

    rules: tuple[tuple[bool, str], ...] = ()
    delay_seconds: float | None = None
    unread: str = ""

    def allows(self, path: str) -> bool:
        """Whether the path (with its query) may be asked for: the longest pattern has the word.

        Of two equally long ones the allowing one (RFC 9309, sec. 2.2.2).
        """
        path = encoded(path)
        fitting = [(len(p), is_allowed) for is_allowed, p in self.rules if _matches(p, path)]
        return max(fitting, default=(0, True))[1]


def parsed_robots(text: str, agent: str) -> Robots:
    """The rules of the groups that name the agent ("machineray"), else of those for anyone."""
    groups: dict[str, list[tuple[str, str]]] = {}
    names: list[str] = []
    is_heading = False
    for line in text.lstrip("\ufeff").splitlines():
        field, colon, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if not colon:
            continue
        if field == "user-agent":
            name = value.partition("/")[0].strip().lower()  # without a version
            names = [*(names if is_heading else []), name]
            groups.setdefault(name, [])
            is_heading = True
        elif field in ("allow", "disallow", "crawl-delay"):
            is_heading = False
            for name in names:
                groups[name].append((field, value))
    lines = groups.get(agent.lower(), groups.get(ANYONE, []))
    rules = [(field == "allow", value) for field, value in lines if field != "crawl-delay"]
    delays = [value for field, value in lines if field == "crawl-delay"]
    return Robots(
        tuple((is_allowed, encoded(value)) for is_allowed, value in rules if value),
        max((float(v) for v in delays if re.fullmatch(r"\d+(\.\d*)?", v)), default=None),
    )


def encoded(path: str) -> str:
    """A path or pattern in one way of writing: "/ö%7e" is "/%C3%B6~" (RFC 9309, sec. 2.2.2)."""

    def one(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in UNRESERVED else match[0].upper()

    return re.sub("%([0-9a-fA-F]{2})", one, quote(path, safe=string.punctuation))


def _matches(pattern: str, path: str) -> bool:
    """ "*" is any text, "$" at the end the end; without backtracking, for the pattern is theirs."""
    is_whole = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not others:
        return not is_whole or path == first
    at = len(first)
    for part in others[:-1]:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    last = others[-1]
    if is_whole:
        return path.endswith(last) and len(path) - len(last) >= at
    return path.find(last, at) >= 0
