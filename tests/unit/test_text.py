"""How things are written, hostile names above all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.views.text import Clock, address, duration, endpoint, escape, per_second


@given(st.text())
def test_no_control_character_survives(name: str) -> None:
    assert escape(name).isprintable()


def test_a_name_full_of_escape_sequences_is_shown_as_what_it_is() -> None:
    assert escape("\x1b[31mroot\n") == "\\x1b[31mroot\\x0a"
    assert escape("a\\x1b") == "a\\\\x1b"
    assert escape("nginx") == "nginx"


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0ns"),
        (940, "940ns"),
        (41_200, "41.2us"),
        (1_120_000, "1.12ms"),
        (31_200_000_000, "31.2s"),
        (126e9, "126s"),
        (3600e9, "60m"),
        (999_600, "1.00ms"),
    ],
)
def test_durations_have_three_digits_and_a_unit(ns: float, shown: str) -> None:
    assert duration(ns) == shown


def test_mapped_addresses_are_written_as_ipv4() -> None:
    mapped = b"\0" * 10 + b"\xff\xff" + bytes([10, 0, 3, 9])
    assert address(mapped) == "10.0.3.9"
    assert endpoint("10.0.3.9", 80) == "10.0.3.9:80"
    assert endpoint("::1", None) == "[::1]:*"


def test_moments_are_utc_with_six_digits() -> None:
    clock = Clock(1_700_000_000_000_000_000)
    assert clock.iso(123_456_789) == "2023-11-14T22:13:20.123456Z"


@pytest.mark.parametrize(
    ("rate", "shown"), [(None, "-"), (0, "0"), (0.2, "<1"), (0.9, "<1"), (1, "1"), (1234.5, "1234")]
)
def test_a_rate_that_is_not_nothing_is_not_shown_as_0(rate: float | None, shown: str) -> None:
    assert per_second(rate) == shown
