"""Windows are brought into the form that a model hears."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.kserve.model import InputSpec, Keep, Normalize, Pad
from gateway.classify.kserve.samples import groups, is_silent, rows
from gateway.classify.port import Window

RAMP = np.arange(1, 6, dtype=np.int16)


def window(samples: "list[int] | np.ndarray[tuple[int], np.dtype[np.int16]]") -> Window:
    array = np.array(samples, np.int16)
    return Window(array, len(array), 1.0, {})


@pytest.mark.parametrize(
    ("spec", "heard"),
    [
        (InputSpec(), [1, 2, 3, 4, 5]),
        (InputSpec(samples=3), [3, 4, 5]),
        (InputSpec(samples=3, keep=Keep.OLDEST), [1, 2, 3]),
        (InputSpec(samples=7), [1, 2, 3, 4, 5, 0, 0]),
        (InputSpec(samples=7, pad=Pad.BEFORE), [0, 0, 1, 2, 3, 4, 5]),
        (InputSpec(samples=5, pad=Pad.BEFORE), [1, 2, 3, 4, 5]),
    ],
)
def test_windows_are_cut_and_padded_as_the_file_says(spec: InputSpec, heard: list[int]) -> None:
    """As int16 they stay what they were."""
    found = rows([window(RAMP)], spec, whole=True)
    assert found.dtype == np.int16
    assert found.tolist() == [heard]


def test_floats_are_from_minus_one_to_one() -> None:
    """Full scale is -1."""
    found = rows([window([-32768, 16384, 0])], InputSpec(), whole=False)
    assert found.dtype == np.float32
    assert found.tolist() == [[-1.0, 0.5, 0.0]]


def test_normalising_leaves_the_padding_alone() -> None:
    """Mean and variance are those of what was heard, of each window by itself."""
    spec = InputSpec(samples=8, normalize=Normalize.ZERO_MEAN_UNIT_VARIANCE)
    loud, quiet = rows([window(RAMP * 1000), window(RAMP * 10)], spec, whole=False)
    assert loud[5:].tolist() == [0, 0, 0]
    assert loud[:5].mean() == pytest.approx(0, abs=1e-6)
    assert loud[:5].std() == pytest.approx(1, rel=1e-3)
    assert quiet[:5].std() < 1  # what is nearly silence isn't blown up to a shout


@given(st.lists(st.integers(1, 4), max_size=40), st.none() | st.just(3), st.integers(1, 32))
def test_groups_hold_each_window_once(lengths: list[int], fixed: int | None, most: int) -> None:
    """All of one length in each, and no more than may be in a request."""
    windows = [window([1] * length) for length in lengths]
    found = groups(windows, InputSpec(samples=fixed), most)
    assert sorted(i for group in found for i in group) == list(range(len(windows)))
    for group in found:
        assert 1 <= len(group) <= most
        assert fixed is not None or len({len(windows[i].samples) for i in group}) == 1
        assert rows([windows[i] for i in group], InputSpec(samples=fixed), whole=True).shape[0] == len(group)


def test_silence_is_a_matter_of_power() -> None:
    """33 of 32768 is just under -60 dBFS; clipping is as loud as can be."""
    assert is_silent(window([32, -32]), -60)
    assert not is_silent(window([34, -34]), -60)
    assert not is_silent(window([-32768, 32767] * 2), -60)


def test_an_offset_is_no_sound() -> None:
    """A cheap microphone's silence lies beside zero; what is said there is as loud as elsewhere."""
    assert is_silent(window([12_000] * 320), -60)
    assert is_silent(window([12_032, 11_968]), -53)
    assert not is_silent(window([12_034, 11_900]), -60)
