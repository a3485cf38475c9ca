"""robots.txt as RFC 9309 has it, and as people write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machineray.collect.robots import parsed_robots

TEXT = """# ours
User-Agent: other
Disallow: /

User-agent: one
user-agent: MachineRay  # us
Disallow: /a
Allow: /a/open
Disallow: /*.php$
Disallow:
Crawl-Delay: 2.5
Sitemap: https://x/

User-agent: *
Disallow: /everything
"""


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("/", True),
        ("/a", False),
        ("/a/b", False),
        ("/a/open/x", True),
        ("/x.php", False),
        ("/x.php?y", True),
        ("/everything", True),  # of others: a group that names us is the only one that counts
    ],
)
def test_the_longest_rule_of_our_group_has_the_word(path: str, is_allowed: bool) -> None:
    assert parsed_robots(TEXT, "machineray").allows(path) == is_allowed


def test_without_a_group_of_our_own_the_one_for_all_counts() -> None:
    robots = parsed_robots(TEXT, "somebody")
    assert not robots.allows("/everything/here")
    assert robots.delay_seconds is None
    assert parsed_robots(TEXT, "machineray").delay_seconds == 2.5


def test_an_empty_or_strange_file_forbids_nothing() -> None:
    for text in ("", "<html>", "Disallow: /", "User-agent: *\nDisallow:", "\ufeffUser-agent: *\n"):
        assert parsed_robots(text, "machineray").allows("/x")


@pytest.mark.parametrize(
    "path", ["/priv%C3%A9/x", "/priv%c3%a9/x", "/a~b", "/a%7Eb", "/two%20words"]
)
def test_paths_are_the_same_however_they_are_written(path: str) -> None:
    text = "User-agent: *\nDisallow: /privé/\nDisallow: /a%7eb\nDisallow: /two words\n"
    assert not parsed_robots(text, "machineray").allows(path)


def test_a_version_is_no_other_name() -> None:
    robots = parsed_robots("User-agent: MachineRay/1.0\nDisallow: /\n", "machineray")
    assert not robots.allows("/x")


def test_of_equally_long_rules_the_allowing_one() -> None:
    robots = parsed_robots("User-agent: *\nDisallow: /a\nAllow: /a\n", "machineray")
    assert robots.allows("/a")


def test_a_hostile_pattern_is_read_without_backtracking() -> None:
    """Which would take centuries, and so end by the tests' own limit."""
    robots = parsed_robots(f"User-agent: *\nDisallow: /{'*a' * 200}$\n", "machineray")
    assert robots.allows("/" + "a" * 5000 + "b")


@given(st.text(alphabet="/*$ab", max_size=8), st.text(alphabet="/ab", max_size=8))
def test_patterns_mean_what_a_plain_reading_says(pattern: str, path: str) -> None:
    def fits(p: str, s: str) -> bool:
        if not p or p == "$":
            return not p or not s
        if p[0] == "*":
            return any(fits(p[1:], s[i:]) for i in range(len(s) + 1))
        return bool(s) and p[0] == s[0] and fits(p[1:], s[1:])

    rule = pattern.replace("$", "") + ("$" if pattern.endswith("$") else "")
    robots = parsed_robots(f"User-agent: *\nDisallow: /{rule}\n", "machineray")
    assert robots.allows("/" + path) == (not fits("/" + rule, "/" + path))
