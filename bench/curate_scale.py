"""Curating ten thousand thumbnails: does the work of a painting, or the memory, grow with them?

.venv/bin/python bench/curate_scale.py            some 20 minutes, nearly all in the network
"""

from table import Case, print_table

CASES = tuple(
    Case(f"{count:,} thumbnails", thumbnails=count, options={"min_side": 100})
    for count in (1000, 2500, 5000, 10000)
)

if __name__ == "__main__":
    print_table("curate", __doc__, CASES)
