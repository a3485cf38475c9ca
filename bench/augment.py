"""Squares and variants: paintings a CPU second and peak memory; one process a row.

.venv/bin/python bench/augment.py
"""

from table import Case, print_table

CASES = (
    Case("examples, 128 px", options={"resolution": 128}),
    Case("examples, 128 px, 6 variants", options={"resolution": 128, "variants": 6}),
    Case("examples, 1024 px", options={"resolution": 1024}),
    Case("examples, 1024 px, 6 variants", options={"resolution": 1024, "variants": 6}),
    Case("24 megapixels, 1024 px", large=6, options={"resolution": 1024}),
)

if __name__ == "__main__":
    print_table("augment", __doc__, CASES)
