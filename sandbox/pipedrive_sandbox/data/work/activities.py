"""Activities and notes of deals, leads and contacts."""

from random import Random
from typing import Any, NamedTuple

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.times import DAY, HOUR, clock_text, date_text, start_of_week

ACTIVITIES_PER_DEAL = 3.5
NOTES_PER_DEAL = 0.6

_KINDS = {
    "call": 0.32, "whatsapp": 0.14, "meeting": 0.17, "task": 0.14, "email": 0.13,
    "deadline": 0.04, "lunch": 0.02, "visita_tecnica": 0.04,
}  # fmt: skip
_SUBJECTS = {
    "call": ("Ligar para {}", "Follow-up call: {}", "Retornar ligação de {}"),
    "whatsapp": ("Mensagem para {}", "Confirmar presença: {}"),
    "meeting": ("Reunião com {}", "Demo: {}", "Alinhamento técnico com {}"),
    "task": ("Preparar proposta para {}", "Atualizar cadastro de {}", "Revisar contrato: {}"),
    "email": ("Enviar proposta para {}", "E-mail de acompanhamento: {}"),
    "deadline": ("Prazo da proposta: {}",),
    "lunch": ("Almoço com {}",),
    "visita_tecnica": ("Visita técnica: {}",),
}
_SECONDS_OF = {"call": 900, "whatsapp": 900, "email": 900, "task": 1800, "lunch": 5400}
_OUTSIDE = ("meeting", "lunch", "visita_tecnica")
PRIORITIES = {12: "Alta", 13: "Média", 14: "Baixa"}
OUTCOMES = {15: "Atendeu", 16: "Não atendeu", 17: "Reagendou"}

_ANSWERED_SOON = 0.75

# the records that activities belong to
_OCCASIONS = {"past": 0.805, "week": 0.005, "planned": 0.06, "lead": 0.07, "contact": 0.06}


class _Scene(NamedTuple):
    """What an activity belongs to, when it is due, and when it may have been planned at the earliest."""

    due: int
    since: int
    owner: Record
    deal_id: int | None
    lead_id: str | None
    person: Record
    org_id: int | None
    open: bool


class _Scenes:
    """Chooses records and times for activities."""

    def __init__(self, draft: Draft) -> None:
        self._season, self._now = draft.season, draft.now
        self._monday = start_of_week(draft.now)
        records = draft.records
        self._persons = records["persons"]
        self._users = {user["id"]: user for user in records["users"]}
        self._deals = [deal for deal in records["deals"] if not deal["is_deleted"]]
        self._open = [deal for deal in self._deals if deal["status"] == "open"] or self._deals
        self._leads = records["leads"]
        self._colleagues: dict[int, list[int]] = {}
        for person in self._persons:
            self._colleagues.setdefault(person["org_id"], []).append(person["id"])

    def participants(self, rng: Random, person: Record) -> list[dict[str, Any]]:
        """Return the person, sometimes with a colleague from the same organization."""
        ids = [person["id"]]
        if person["org_id"] and rng.random() < 0.1:
            ids.append(pick(rng, self._colleagues[person["org_id"]]))
        return [{"person_id": i, "primary": i == person["id"]} for i in dict.fromkeys(ids)]

    def _within(self, rng: Random, since: int, days: float) -> int:
        """Return a time in the days after `since`, at most ten days from now."""
        return self._season.after(rng, since, rng.random() * min(days, (self._now - since) / DAY + 10))

    def scene(self, rng: Random) -> _Scene:
        """Return a deal in the past, this week or soon; a lead; or a contact."""
        kind = weighted(rng, _OCCASIONS)
        if kind == "lead":
            lead = pick(rng, self._leads)
            due = self._within(rng, lead["add_time"], 20)
            return _Scene(
                due, lead["add_time"], self._users[lead["owner_id"]], None, lead["id"],
                self._persons[lead["person_id"] - 1], lead["organization_id"],
                not lead["is_archived"],
            )  # fmt: skip
        if kind == "contact":
            person = pick(rng, self._persons)
            due = self._within(rng, person["add_time"], 200)
            return _Scene(
                due, person["add_time"], self._users[person["owner_id"]], None, None,
                person, person["org_id"], True,
            )  # fmt: skip
        deal = pick(rng, self._deals if kind == "past" else self._open)
        since = deal["add_time"]
        if kind == "past":
            end = deal["close_time"] or self._now
            due = self._season.after(rng, since, rng.random() * (end - since) / DAY)
        elif kind == "week":
            due = self._season.after(rng, max(since, self._monday), rng.random() * 4.6)
        else:
            due = self._season.after(rng, self._now, rng.random() * 14)
        return _Scene(
            due, since, self._users[deal["owner_id"]], deal["id"], None,
            self._persons[deal["person_id"] - 1], deal["org_id"], deal["status"] == "open",
        )  # fmt: skip


def activities(draft: Draft) -> list[Record]:
    """GET /api/v2/activities: past ones, some of this week, some planned for the next two weeks."""
    rng, scenes = draft.rng("activities"), _Scenes(draft)
    count = int(draft.deals * ACTIVITIES_PER_DEAL)
    rows = [_activity(draft, rng, scenes) for _ in range(count)]
    _answer(draft, rows)
    rows.sort(key=lambda row: (row["add_time"], row["due_date"], row["subject"]))
    for number, row in enumerate(rows, 1):
        row["id"] = number
    return rows


def _answer(draft: Draft, rows: list[Record]) -> None:
    """Move the first activity of most deals and leads closer to their creation; some owners answer faster."""
    rng, season, records = draft.rng("first answers"), draft.season, draft.records
    firsts: dict[tuple[str, Any], Record] = {}
    for row in sorted((row for row in rows if row["done"]), key=lambda row: row["marked_as_done_time"]):
        for key in ("deal_id", "lead_id"):
            firsts.setdefault((key, row[key]), row)
    for entity, key in (("deals", "deal_id"), ("leads", "lead_id")):
        for record in records[entity]:
            slowness, share, place = 2.0 + record["owner_id"] % 5, rng.random(), rng.lognormvariate(0, 1.2)
            first = firsts.get((key, record["id"]))
            if first is None or share >= _ANSWERED_SOON:
                continue
            done = season.soon(rng, record["add_time"], 40 * slowness * place)
            if done < first["marked_as_done_time"]:
                first.update(_times(first, done), add_time=record["add_time"], update_time=done)


def _times(row: Record, done: int) -> Record:
    """Return the due date and time of an activity done at a moment: that quarter of an hour, or that day."""
    due = clock_text(done - done % 900)
    return {
        "due_date": date_text(done),
        "due_time": row["due_time"] and due[: len(row["due_time"])],
        "marked_as_done_time": done,
    }


def _activity(draft: Draft, rng: Random, scenes: _Scenes) -> Record:
    scene = scenes.scene(rng)
    kind, person = weighted(rng, _KINDS), scene.person
    due = scene.due - scene.due % 900
    added = max(scene.since, min(due, draft.now) - int(rng.random() ** 2 * 14 * DAY))
    done = due <= draft.now and rng.random() < (0.85 if scene.open else 0.97)
    marked = min(draft.now, max(added, due + int(rng.random() ** 3 * 2 * DAY))) if done else None
    all_day = kind == "deadline" or rng.random() < 0.1
    outside = kind in _OUTSIDE
    length = clock_text(_SECONDS_OF.get(kind, HOUR)) if rng.random() < 0.9 else None
    short = rng.random() < 0.03  # both spellings occur
    video = kind == "meeting" and rng.random() < 0.5
    code = f"{rng.getrandbits(40):010x}" if video else ""
    return {
        "id": 0,
        "subject": pick(rng, _SUBJECTS[kind]).format(person["name"]),
        "type": kind,
        "owner_id": scene.owner["id"],
        "creator_user_id": scene.owner["id"],
        "is_deleted": False,
        "add_time": added,
        "update_time": draft.season.edited(rng, marked or added, 20, 0.1),
        "deal_id": scene.deal_id,
        "lead_id": scene.lead_id,
        "person_id": person["id"],
        "org_id": scene.org_id,
        "project_id": None,
        "due_date": date_text(due),
        "due_time": None if all_day else clock_text(due)[: 5 if short else 8],
        "duration": None if all_day or length is None else length[: 5 if short else 8],
        "busy": outside,
        "done": done,
        "marked_as_done_time": marked,
        "location": draft.people.address(rng) if outside and not video else None,
        "participants": scenes.participants(rng, person),
        "attendees": _attendees(rng, person, scene.owner) if outside else [],
        "conference_meeting_client": "google_meet" if video else None,
        "conference_meeting_url": f"https://meet.google.com/{code}" if video else None,
        "conference_meeting_id": code or None,
        "public_description": "Pauta enviada por e-mail" if outside else None,
        "priority": pick(rng, tuple(PRIORITIES)) if rng.random() < 0.2 else None,
        "note": f"<p>{pick(rng, draft.people.phrases)}</p>" if rng.random() < 0.25 else None,
        "outcome": pick(rng, tuple(OUTCOMES)) if kind == "call" and done else None,
    }


def _attendees(rng: Random, person: Record, user: Record) -> list[dict[str, Any]]:
    return [
        {
            "email": email["value"],
            "name": person["name"],
            "status": pick(rng, ("accepted", "accepted", "noreply", "declined")),
            "is_organizer": False,
            "person_id": person["id"],
            "user_id": None,
        }
        for email in person["emails"][:1]
    ] + [
        {
            "email": user["email"],
            "name": user["name"],
            "status": "accepted",
            "is_organizer": True,
            "person_id": None,
            "user_id": user["id"],
        }
    ]


_NOTES = (
    "<p>Cliente pediu <b>{}</b> de desconto.</p>",
    "<p>Call resumed: decision expected in {} days.</p>",
    "<ul><li>Decisor confirmado</li><li>Proposta v{}</li></ul>",
    "<p>Enviado material de apoio, página {}.</p>",
    "Reunião remarcada para as {}h",
)


def notes(draft: Draft) -> list[Record]:
    """GET /v1/notes, without stubs of the records that a note belongs to."""
    rng, season, records = draft.rng("notes"), draft.season, draft.records
    staff = [user["id"] for user in records["users"] if user["active_flag"]]
    rows = []
    for _ in range(max(10, int(draft.deals * NOTES_PER_DEAL))):
        subject = weighted(rng, {"deals": 0.7, "leads": 0.08, "persons": 0.12, "organizations": 0.1})
        owner = pick(rng, records[subject])
        org_key = "organization_id" if subject == "leads" else "org_id"
        is_organization = subject == "organizations"
        born = season.edited(rng, owner["add_time"], 60, 0.9)
        user = pick(rng, staff)
        rows.append(
            {
                "id": 0,
                "active_flag": True,
                "add_time": born,
                "content": pick(rng, _NOTES).format(1 + int(rng.random() * 20)),
                "lead_id": owner["id"] if subject == "leads" else None,
                "deal_id": owner["id"] if subject == "deals" else None,
                "person_id": owner["id"] if subject == "persons" else owner.get("person_id"),
                "org_id": owner["id"] if is_organization else owner.get(org_key),
                "project_id": None,
                "task_id": None,
                "user_id": user,
                "last_update_user_id": user if rng.random() < 0.2 else None,
                "pinned_to_lead_flag": False,
                "pinned_to_deal_flag": subject == "deals" and rng.random() < 0.1,
                "pinned_to_organization_flag": is_organization and rng.random() < 0.1,
                "pinned_to_person_flag": subject == "persons" and rng.random() < 0.1,
                "pinned_to_project_flag": False,
                "pinned_to_task_flag": False,
                "update_time": season.edited(rng, born, 30, 0.2),
            }
        )
    rows.sort(key=lambda row: (row["add_time"], row["content"]))
    for number, row in enumerate(rows, 1):
        row["id"] = number
    return rows
