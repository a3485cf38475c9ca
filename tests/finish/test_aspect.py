import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from machineray.errors import InputError
from machineray.finish.aspect import fitted_size, reshaped, sample_aspect

ASPECTS = st.lists(st.floats(0.2, 5), min_size=1, max_size=50)


def test_drawn_like_the_paintings() -> None:
    paintings = np.exp(np.random.default_rng(0).normal(-0.1, 0.3, 850))
    drawn = [sample_aspect(seed, paintings) for seed in range(2000)]
    assert stats.ks_2samp(drawn, paintings).pvalue > 0.01
    assert stats.ks_2samp(drawn, 1 / paintings).pvalue < 0.001  # width / height, not the inverse


def test_the_numbers_do_not_change() -> None:
    # An artwork must come out the same next year.
    assert sample_aspect(4711, [0.5, 1.0, 2.0]) == pytest.approx(0.7012023, abs=1e-6)


@given(ASPECTS, st.integers(0, 2**64), st.randoms())
def test_bounded_deterministic_and_orderless(aspects: list[float], seed: int, rng: object) -> None:
    drawn = sample_aspect(seed, aspects)
    assert min(aspects) - 1e-12 <= drawn <= max(aspects) + 1e-12
    rng.shuffle(shuffled := list(aspects))  # type: ignore[attr-defined]
    assert sample_aspect(seed, shuffled) == drawn


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(0.2, 5))
def test_fits_inside_and_keeps_a_side(width: int, height: int, aspect: float) -> None:
    new_width, new_height = fitted_size(width, height, aspect)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert new_width == width or new_height == height
    assert abs(new_width - new_height * aspect) <= max(1, aspect)


@pytest.mark.parametrize(
    ("aspect", "shape"), [(2.0, (64, 128, 3)), (0.5, (128, 64, 3)), (1.0, (128, 128, 3))]
)
def test_reshaped(aspect: float, shape: tuple[int, int, int]) -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:, 64:] = 255
    stretched = reshaped(pixels, aspect)
    assert stretched.shape == shape
    half = shape[1] // 2
    assert stretched[:, : half - 8].max() < 8
    assert stretched[:, half + 8 :].min() > 247


def test_a_handscroll_does_not_count() -> None:
    assert sample_aspect(1, [0.5, 3000.0, 1.5, 0.001]) == sample_aspect(1, [0.5, 1.5])


@pytest.mark.parametrize("aspects", [[], [0.0], [float("nan")], [1000.0], [-1.0]])
def test_refuses_senseless_aspects(aspects: list[float]) -> None:
    with pytest.raises(InputError, match="aspect"):
        sample_aspect(1, aspects)
