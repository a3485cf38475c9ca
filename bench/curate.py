"""Curating: pictures a CPU second and peak memory; one process a row.

.venv/bin/python bench/curate.py
"""

from table import Case, print_table

CASES = (
    Case("examples, 512 px JPEG"),
    Case("24 megapixels, JPEG", large=6),
    Case("24 megapixels, TIFF", large=6, format="tiff"),
)

if __name__ == "__main__":
    print_table("curate", __doc__, CASES)
