"""The history of one deal: random changes in its pipeline, each with a time.

Times in stages are log-normal around the stage's median. A deal may skip a stage, fall back, change
pipeline, be lost or won from any stage, and be reopened. Its outcome depends on one custom field
(the lead's temperature) more than on any other property.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from random import Random
from typing import NamedTuple

from pipedrive_simulator.account.records import Json
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text
from pipedrive_simulator.generator import names
from pipedrive_simulator.generator.reference_data import PIPELINES, USERS, owner_at

# By option label: added to the chance of moving forward, at each stage.
TEMPERATURE_EFFECT = {"Quente": 0.09, "Morno": 0.0, "Frio": -0.13}
# Spread of the time in a stage (sigma of the logarithm).
SIGMA = 0.95
# Office hours in UTC: 8 to 18 in São Paulo.
_OPENS, _HOURS = 11 * 3600, 10 * 3600

_REASONS = [reason for reason, _ in names.LOST_REASONS]
_REASON_WEIGHTS = [weight for _, weight in names.LOST_REASONS]


class Event(NamedTuple):
    """A change of some properties of the deal, at a second."""

    second: int
    changes: Json


class Place(NamedTuple):
    """Pipeline and stage of a deal, by position, and the stage's id."""

    pipeline: int
    stage: int

    @property
    def stage_id(self) -> int:
        """The stage's id: stages are numbered in order, pipeline by pipeline."""
        return sum(len(plan.stages) for plan in PIPELINES[: self.pipeline]) + self.stage + 1


def office_time(rng: Random, second: int, after: int) -> int:
    """Move an instant into office hours of a working day, but never before `after`."""
    day = second // SECONDS_PER_DAY
    weekday = (day + 3) % 7
    if weekday > 4 and rng.random() < 0.9:
        day += 7 - weekday
    moved = day * SECONDS_PER_DAY + _OPENS + int(rng.triangular(0, _HOURS, _HOURS * 0.45))
    return moved if moved > after else after + 60 + int(rng.random() * 7200)


def lost_reason(rng: Random) -> str | None:
    """Draw a reason, in one of its spellings."""
    return rng.choices(_REASONS, _REASON_WEIGHTS)[0]


def deal_events(
    rng: Random, place: Place, start: int, now: int, *, effect: float, value: float, pace: float
) -> Iterator[Event]:
    """Yield the changes of a deal from `start` to `now`.

    `effect` is added to the chance of moving forward, `pace` multiplies the time in stages.
    """
    second, closed = start, False
    while True:
        plan = PIPELINES[place.pipeline]
        stage = plan.stages[place.stage]
        days = rng.lognormvariate(log(stage.days * pace), SIGMA)
        second = office_time(rng, second + int(days * SECONDS_PER_DAY), second)
        if second > now:
            return
        roll = rng.random()
        if roll > stage.forward + effect:
            yield Event(second, {"status": "lost", "lost_reason": lost_reason(rng)})
            closed = True
        elif place.stage + 1 == len(plan.stages):
            yield Event(second, {"status": "won"})
            closed = True
        else:
            place = _next_place(rng, place)
            changes: Json = {"stage_id": place.stage_id}
            roll = rng.random()
            if roll < 0.22:
                value = round(value * rng.uniform(0.7, 1.25), 2)
                changes["value"] = value
            if roll < 0.35:
                # The expected close date moves back, sometimes forward.
                push = second // SECONDS_PER_DAY + rng.randrange(5, 60)
                changes["expected_close_date"] = day_text(push)
            elif roll > 0.96:
                changes["owner_id"] = owner_at(rng.randrange(USERS) + 1, second, now)
            yield Event(second, changes)
        if closed:
            if rng.random() > 0.04:
                return
            # Reopened: it continues in the stage where it was closed.
            second = office_time(
                rng, second + int(rng.expovariate(1 / 20) * SECONDS_PER_DAY), second
            )
            if second > now:
                return
            closed = False
            yield Event(second, {"status": "open"})


def _next_place(rng: Random, place: Place) -> Place:
    roll, last = rng.random(), len(PIPELINES[place.pipeline].stages) - 1
    if roll < 0.06 and place.stage > 0:
        return Place(place.pipeline, place.stage - 1)
    if roll < 0.15 and place.stage + 2 <= last:
        return Place(place.pipeline, place.stage + 2)
    if roll > 0.98:
        other = rng.choice([i for i in range(len(PIPELINES)) if i != place.pipeline])
        return Place(other, rng.randrange(min(2, len(PIPELINES[other].stages))))
    return Place(place.pipeline, place.stage + 1)
