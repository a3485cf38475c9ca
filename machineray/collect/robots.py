"""robots.txt (RFC 9309): its text -> what a crawler of our name may ask for, and how often."""

import re
from dataclasses import dataclass

ANYONE = "*"


@dataclass(frozen=True)
class Robots:
    """The rules that count for us: (is allowed, pattern) as they stand, and the seconds between."""

    rules: tuple[tuple[bool, str], ...] = ()
    delay_seconds: float | None = None

    def allows(self, path: str) -> bool:
        """Whether the path (with its query) may be asked for: the longest pattern has the word.

        Of two equally long ones the allowing one (RFC 9309, sec. 2.2.2).
        """
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
            names = [*(names if is_heading else []), value.lower()]
            groups.setdefault(value.lower(), [])
            is_heading = True
        elif field in ("allow", "disallow", "crawl-delay"):
            is_heading = False
            for name in names:
                groups[name].append((field, value))
    lines = groups.get(agent.lower(), groups.get(ANYONE, []))
    rules = [(field == "allow", value) for field, value in lines if field != "crawl-delay"]
    delays = [value for field, value in lines if field == "crawl-delay"]
    return Robots(
        tuple((is_allowed, value) for is_allowed, value in rules if value),
        max((float(v) for v in delays if re.fullmatch(r"\d{1,6}(\.\d+)?", v)), default=None),
    )


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
