"""A deal's way through its pipeline, simulated stage by stage up to now."""

from dataclasses import dataclass, field
from random import Random

from pipedrive_sandbox.data.draft import Record
from pipedrive_sandbox.data.draws import weighted
from pipedrive_sandbox.data.setup.reference import PIPELINES, StagePlan
from pipedrive_sandbox.data.times import Season

LOST_EARLY = {
    "Sem resposta": 0.32, "Perfil inadequado": 0.24, "Sem orçamento": 0.18, "Timing": 0.1,
    "Projeto adiado": 0.07, "Preço": 0.05, "Concorrente": 0.03, "Falta de funcionalidade": 0.01,
}  # fmt: skip
LOST_LATE = {
    "Preço": 0.34, "Concorrente": 0.22, "Projeto adiado": 0.15, "Falta de funcionalidade": 0.11,
    "Sem orçamento": 0.07, "Timing": 0.05, "Sem resposta": 0.04, "Perfil inadequado": 0.02,
}  # fmt: skip
LOST_REASONS = tuple(LOST_LATE)

_STARTS_QUALIFIED = 0.1
_CHANGES_PIPELINE = 0.02
_GETS_STUCK = 0.04
_SKIPS_STAGE = 0.05
_WINS_AT_ONCE = 0.004
_GOES_BACK = 0.04
_REOPENS = 0.05

_BEYOND = 1000
"""A place after those of all stages."""


@dataclass
class Journey:
    """The present state of a deal, and every change on the way: (time, field, old, new)."""

    pipeline_id: int
    stage_id: int
    status: str = "open"
    stage_changed: int | None = None
    closed: int | None = None
    first_won: int | None = None
    lost_reason: str | None = None
    events: list[tuple[int, str, str | None, str | None]] = field(default_factory=list)

    def enter(self, moment: int, stage: Record) -> None:
        """Move to a stage, perhaps in another pipeline."""
        if stage["pipeline_id"] != self.pipeline_id:
            old, self.pipeline_id = self.pipeline_id, stage["pipeline_id"]
            self.events.append((moment, "pipeline_id", str(old), str(self.pipeline_id)))
        self.events.append((moment, "stage_id", str(self.stage_id), str(stage["id"])))
        self.stage_id, self.stage_changed = stage["id"], moment

    def turn(self, moment: int, status: str, lost_reason: str | None = None) -> None:
        """Win, lose or reopen; the times of an earlier closing are reset, except the first win."""
        self.events.append((moment, "status", self.status, status))
        if lost_reason != self.lost_reason:
            self.events.append((moment, "lost_reason", self.lost_reason, lost_reason))
        self.status, self.lost_reason = status, lost_reason
        self.closed = None if status == "open" else moment
        if status == "won" and self.first_won is None:
            self.first_won = moment


def travel(rng: Random, season: Season, born: int, pipeline: int, stages: list[Record]) -> Journey:
    """Simulate a deal created in `pipeline` (an index of PIPELINES) until now."""
    own = [stage for stage in stages if stage["pipeline_id"] == pipeline + 1]
    plans = PIPELINES[pipeline].stages
    place = 1 if rng.random() < _STARTS_QUALIFIED else 0
    start, moment = own[place], born
    journey = Journey(start["pipeline_id"], start["id"])
    if rng.random() < _CHANGES_PIPELINE:
        other = next(stage for stage in stages if stage["pipeline_id"] != pipeline + 1)
        journey = Journey(other["pipeline_id"], other["id"])
        moment = season.after(rng, born, 1 + rng.random() * 5)
        if moment > season.now:
            return journey
        journey.enter(moment, start)
    stuck = rng.random() < _GETS_STUCK
    while not (stuck and place > 0):
        plan = plans[place]
        moment = season.after(rng, moment, plan.days * rng.lognormvariate(-0.4, 0.9))
        if moment > season.now:
            break
        place_or_none = _next_place(rng, plan, place)
        if place_or_none is None:
            journey.turn(moment, "lost", weighted(rng, LOST_LATE if place > 1 else LOST_EARLY))
            moment = season.after(rng, moment, 5 + rng.random() * 40)
            if rng.random() > _REOPENS or moment > season.now:
                break
            journey.turn(moment, "open")
        elif place_or_none >= len(own):
            journey.turn(moment, "won")
            break
        else:
            place = place_or_none
            journey.enter(moment, own[place])
    return journey


def _next_place(rng: Random, plan: StagePlan, place: int) -> int | None:
    """Return the next stage's place, one past the last for a win, or None for a loss."""
    draw = rng.random()
    if draw < plan.conversion * _WINS_AT_ONCE:
        return _BEYOND
    if draw < plan.conversion * _SKIPS_STAGE and place < 2:
        return place + 2
    if draw < plan.conversion:
        return place + 1
    if draw < plan.conversion + _GOES_BACK and place > 0:
        return place - 1
    return None
