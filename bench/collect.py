"""Collecting: pictures a CPU second and peak memory, and what a site is asked for a painting.

.venv/bin/python bench/collect.py

The first table is of folders, one process a row. The second is of a recorded WikiArt on this
machine (its lists as captured: Kandinsky with 135 abstract works and others, van Gogh with 1,928
and none abstract, and two who do not count), asked by each of our routes; the clock does not wait.
"""

import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from table import Case, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the recorded site

CASES = (
    Case("examples, 512 px JPEG"),
    Case("24 megapixels, JPEG", large=6),
    Case("24 megapixels, PNG", large=3, format="png"),
    Case("24 megapixels, TIFF", large=6, format="tiff"),
)


def print_sites() -> None:
    """Pages, pictures and bytes asked for per painting kept, by route."""
    from tests.collect import site

    if not site.SAMPLES.is_dir():
        print("\nthe recorded site needs ../shared/sources: not measured")
        return
    gogh = site.captured("van_gogh", "vincent-van-gogh", ("landscape",))
    artists = [
        site.kandinsky(),
        site.Artist("vincent-van-gogh", "Vincent van Gogh", "1853", "1890", tuple(gogh), "Realism"),
        site.Artist("mark-rothko", "Mark Rothko", "1903", "1970", about="Abstract Art"),
        site.Artist("claude-monet", "Claude Monet", "1840", "1926", about="Impressionism"),
    ]
    routes = {
        "the genre's list (default)": site.wikiart(artists, by_genre=True),
        "lists of artists, facts by JSON": site.wikiart(artists),
        "pages alone (the article's way)": site.wikiart(artists, by_json=False),
    }
    print("\ncollect: a recorded WikiArt, asked for a painting that is kept")
    print(f"{'route':<34} {'kept':>5} {'pages':>7} {'pictures':>8} {'kB':>7} {'CPU-ms':>7}")
    for label, pages in routes.items():
        with site.Server(pages) as server, tempfile.TemporaryDirectory() as root:
            start = time.process_time()
            kept = collected(server.url, root)
            seconds = time.process_time() - start
            asked = [path for path in server.paths if path != "/robots.txt"]
            pictures = sum("/images/" in path for path in asked)
            size = sum(len(pages[path].body) for path in asked if path in pages)
        print(
            f"{label:<34} {kept:>5} {(len(asked) - pictures) / kept:>7.2f} {pictures / kept:>8.2f} "
            f"{size / kept / 1000:>7.1f} {seconds / kept * 1000:>7.1f}",
            flush=True,
        )


def collected(url: str, root: str) -> int:
    """Collect the whole recorded site without waiting -> paintings kept."""
    import jobs.crawling
    from jobs import Job
    from jobs.collect import collect
    from machineray.collect.limits import Clock

    clock = dataclasses.replace(Clock(), sleep=lambda seconds: None)
    jobs.crawling.clock = lambda: clock
    job = Job("collect", "bench", root)
    for _ in collect(job, source=["wikiart"], source_url=[f"wikiart={url}"]):
        pass
    return len(job.output.catalog())


if __name__ == "__main__":
    print_table("collect", __doc__, CASES)
    if "--only" not in sys.argv:
        print_sites()
