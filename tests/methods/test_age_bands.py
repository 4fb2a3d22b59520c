"""Age bands: exact unions by hand, and the algebra of any partition."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.age_bands import InexactUnion, exact_union, parse_age_band

TB_V3 = ("Y0T4", "Y5T9", "Y10T14", "Y15T19", "Y20T24", "Y25T34", "Y35T44", "Y45T54", "Y55T64", "Y_GE65")


def test_newer_tuberculosis_bands_join_to_the_older_ones() -> None:
    assert exact_union("Y5T14", TB_V3) == ("Y5T9", "Y10T14")
    assert exact_union("Y_GE15", TB_V3) == TB_V3[3:]


@pytest.mark.parametrize("target", ["Y15T49", "Y0T12", "Y_GE60"])
def test_a_band_that_would_have_to_be_split_is_refused(target: str) -> None:
    with pytest.raises(InexactUnion, match="never split"):
        exact_union(target, TB_V3)


def test_wide_bands_beside_narrow_ones_do_not_hide_the_union() -> None:
    assert exact_union("Y0T19", ["Y0T14", "Y0T4", "Y5T9", "Y10T19"]) == ("Y0T4", "Y5T9", "Y10T19")


@pytest.mark.parametrize("code", ["_T", "_U", "Y5T4", "Y", "5-9"])
def test_what_is_no_band_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="no age band"):
        parse_age_band(code)


@given(st.sets(st.integers(1, 110), max_size=12), st.data())
def test_every_run_of_a_partition_is_the_exact_union_of_its_bands(cuts: set[int], data: st.DataObject) -> None:
    edges = [0, *sorted(cuts)]
    bands = [f"Y{a}T{b - 1}" for a, b in pairwise(edges)] + [f"Y_GE{edges[-1]}"]
    first = data.draw(st.integers(0, len(bands) - 1))
    last = data.draw(st.integers(first, len(bands) - 1))
    upper = parse_age_band(bands[last]).upper
    target = f"Y_GE{edges[first]}" if upper is None else f"Y{edges[first]}T{upper}"
    assert exact_union(target, reversed(bands)) == tuple(bands[first : last + 1])
