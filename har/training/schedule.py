"""How far a run is, how fast it learns at that point, and how it ends in time.

The learning rate hangs on a phase that goes from 0 to 1. Each step takes its share of the way that is left, so that
the phase is 1 after the last planned step, also if the plan was changed on the way because the machine became slower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GROW_UNTIL = 0.5
"""Phase after which the plan only shrinks: a longer run whose learning rate has fallen already gains little."""
MARGIN = 0.04
"""Of the time left that whole passes are not planned into, so that a machine that slows down need not cut one short."""
SHORT_FROM = 0.1
"""Of the time left: where whole passes would leave more than this unused, the last pass is a short one."""


@dataclass(slots=True)
class Schedule:
    """A run under way.

    Attributes:
        pass_steps: steps of a whole pass.
        most_passes: what the recipe allows.
        n_passes: planned now, the pass under way included.
        n_done: passes done.
        at: steps done of the pass under way.
        this_pass: steps of the pass under way; fewer than of a whole one where time is short.
        last_pass: likewise planned for the last one, if another is under way.
        step: steps done in all.
        phase: 0 at the start, 1 at the end.
    """

    pass_steps: int
    most_passes: int
    n_passes: int
    n_done: int = 0
    at: int = 0
    this_pass: int = 0
    last_pass: int = 0
    step: int = 0
    phase: float = 0.0

    def __post_init__(self) -> None:
        self.last_pass = self.last_pass or self.pass_steps  # what was kept by older versions does not say

    @classmethod
    def of(cls, *, pass_steps: int, n_passes: int) -> Schedule:
        """Plan so many whole passes."""
        return cls(pass_steps, n_passes, n_passes, this_pass=pass_steps)

    @property
    def is_over(self) -> bool:
        """Whether every planned pass is done."""
        return self.n_done >= self.n_passes

    @property
    def steps_left(self) -> int:
        """Steps until the end as planned now."""
        more = self.n_passes - self.n_done - 1
        return self.this_pass - self.at + ((more - 1) * self.pass_steps + self.last_pass if more > 0 else 0)

    @property
    def pass_is_over(self) -> bool:
        """Whether the pass under way has had all its steps."""
        return self.at >= self.this_pass

    def step_done(self) -> None:
        """Go on by a step."""
        self.phase += (1 - self.phase) / max(self.steps_left, 1)
        self.step += 1
        self.at += 1

    def pass_done(self) -> None:
        """Go on to the next pass."""
        self.n_done, self.at, self.this_pass = self.n_done + 1, 0, self.pass_steps

    def rate(self, *, warm_up_passes: float) -> float:
        """Give the learning rate now as a share of its highest: a straight rise, then half a cosine down to zero."""
        warm_up = min(warm_up_passes / self.n_passes, 0.25)
        if self.phase < warm_up:
            return min((self.phase + 1 / max(self.n_passes * self.pass_steps, 1)) / warm_up, 1.0)
        return 0.5 * (1 + math.cos(math.pi * (self.phase - warm_up) / (1 - warm_up)))

    def fit_into(self, left_s: float, *, step_s: float, check_s: float) -> bool:
        """Plan as many passes as the time allows; where not even this one fits, shorten it.

        Args:
            left_s: seconds until all must be done.
            step_s: of one step.
            check_s: of the validation after a pass.

        Returns:
            Whether the plan changed.
        """
        before = (self.n_passes, self.this_pass, self.last_pass)
        spare_s = left_s - (self.this_pass - self.at) * step_s - check_s
        safe_s, pass_s = spare_s - MARGIN * left_s, self.pass_steps * step_s + check_s
        more = math.floor(safe_s / pass_s) if safe_s > 0 else 0
        rest_s = safe_s - more * pass_s - check_s  # for a short pass
        whole = self.n_done + 1 + more
        most = max(self.most_passes if self.phase < GROW_UNTIL else self.n_passes, self.n_done + 1)
        self.n_passes = min(whole + (rest_s > SHORT_FROM * left_s), most)
        self.last_pass = self.pass_steps if self.n_passes <= whole else math.floor(rest_s / max(step_s, 1e-9))
        if spare_s < 0:
            affordable = math.floor(max(left_s - check_s, 0) / max(step_s, 1e-9))
            self.this_pass = min(self.this_pass, self.at + affordable)
        return before != (self.n_passes, self.this_pass, self.last_pass)
