"""The comparison's arithmetic and its goals."""

import math

import pytest

from bench.peers.figures import Comparison, Figures, Goal, percentile
from bench.peers.report import render_figures, render_goals


def figures(
    gateway: str, *, size: str = "20 MB", clients: int, p50: float = 1, rate: float = 1, peak: int = 1
) -> Figures:
    return Figures(gateway, size, clients, 100, 0, "", p50, p50 * 2, rate, 0.5, peak)


def goals_of(*measured: Figures) -> list[Goal]:
    return Comparison(measured).goals()


@pytest.mark.parametrize(("share", "wanted"), [(0, 1), (0.5, 2.5), (0.95, 3.85), (1, 4)])
def test_a_percentile_lies_between_its_neighbours(share: float, wanted: float) -> None:
    assert percentile([4, 1, 3, 2], share) == pytest.approx(wanted)


def test_one_value_is_every_percentile_and_no_value_is_none() -> None:
    assert percentile([7], 0.95) == 7
    assert math.isnan(percentile([], 0.5))


def test_what_a_gateway_adds_is_its_time_less_the_direct_call() -> None:
    ours = figures("ours", clients=8, p50=5)
    assert Comparison([figures("direct", clients=8, p50=2), ours]).added(ours) == (3, 6)


@pytest.mark.parametrize(("p50", "is_met"), [(36, True), (37, False)])
def test_the_added_median_is_judged_as_a_share_of_litellms(p50: float, is_met: bool) -> None:
    direct, theirs = figures("direct", clients=1, p50=2), figures("LiteLLM", clients=1, p50=70)
    (goal,) = goals_of(direct, theirs, figures("ours", clients=1, p50=p50))
    assert (goal.size, goal.measured, goal.is_met) == ("20 MB", f"{(p50 - 2) / 68:.2f}", is_met)


@pytest.mark.parametrize(("rate", "is_met"), [(30, True), (29, False)])
def test_the_rate_is_judged_in_multiples_of_litellms(rate: float, is_met: bool) -> None:
    (goal,) = goals_of(figures("LiteLLM", clients=8, rate=10), figures("ours", clients=8, rate=rate))
    assert (goal.wanted, goal.is_met) == ("3", is_met)


def test_small_bodies_may_take_as_much_memory_as_litellm() -> None:
    theirs = figures("LiteLLM", size="4 MB", clients=64, peak=1000)
    (goal,) = goals_of(theirs, figures("ours", size="4 MB", clients=64, peak=1001))
    assert not goal.is_met


@pytest.mark.parametrize(("peak", "is_met"), [(1_920_000_000, True), (1_920_000_001, False)])
def test_large_bodies_may_take_one_and_a_half_times_their_size(peak: int, is_met: bool) -> None:
    (goal,) = goals_of(figures("LiteLLM", clients=64), figures("ours", clients=64, peak=peak))
    assert goal.is_met is is_met


def test_no_goal_is_judged_without_litellm() -> None:
    assert goals_of(figures("direct", clients=1), figures("ours", clients=1)) == []


def test_the_report_has_a_row_for_each_gateway_and_names_failures() -> None:
    failed = Figures("LiteLLM", "20 MB", 8, 3, 1, "500 no", 9, 9, 1, 2, 3_000_000)
    text = render_figures([figures("direct", clients=8), failed])
    assert "| 20 MB | LiteLLM | 9.0 | 9.0 | 8.0 | 7.0 | 1 | 2.00 | 3 |" in text
    assert "LiteLLM, 20 MB, 8 clients: 1 of 4 requests failed; the first: 500 no" in text


def test_the_report_says_which_goals_are_missed() -> None:
    text = render_goals([Goal("idle memory", "", "under 120 MB", "150 MB", is_met=False)])
    assert "| idle memory |  | under 120 MB | 150 MB | missed |" in text
