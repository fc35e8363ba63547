"""Projects after a deal is won: boards, phases, templates, projects and their tasks."""

from random import Random

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.setup.builtin_fields import builtin_fields
from pipedrive_sandbox.data.setup.catalogue import CUSTOM_FIELDS
from pipedrive_sandbox.data.setup.custom_fields import add_custom_field
from pipedrive_sandbox.data.times import DAY, date_text

_PROJECTS_PER_DEAL = 0.04
_BOARDS = {
    "Implantação": ("Kick-off", "Configuração", "Treinamento", "Go-live"),
    "Onboarding": ("To do", "Doing", "Done"),
}
_STATUSES = {"open": 0.55, "completed": 0.3, "canceled": 0.1, "deleted": 0.05}
_ARCHIVED = 0.3  # of the past ones
_TASKS = ("Agendar reunião", "Importar dados", "Treinar usuários", "Validar com o cliente", "Sign-off")


def add_projects(draft: Draft) -> None:
    """GET /api/v2/projects and the lists around it, and the definitions of their fields."""
    rng, records = draft.rng("projects"), draft.records
    _boards_and_phases(draft)
    staff = [user["id"] for user in records["users"] if user["active_flag"]]
    records["project_templates"] = [
        {
            "id": board["id"],
            "title": f"Modelo {board['name']}",
            "description": "",
            "projects_board_id": board["id"],
            "owner_id": staff[0],
            "add_time": board["add_time"],
            "update_time": draft.season.edited(rng, board["add_time"], 90, 0.5),
        }
        for board in records["project_boards"]
    ]
    won = [deal for deal in records["deals"] if deal["status"] == "won"] or records["deals"]
    records["projects"] = [
        _project(draft, rng, number, pick(rng, won)) for number in range(1, _count(draft) + 1)
    ]
    draft.fields["project"] = builtin_fields("project")
    for spec in CUSTOM_FIELDS["project"]:
        add_custom_field(draft, "project", spec)
    records["tasks"] = _tasks(draft, rng, staff)


def _count(draft: Draft) -> int:
    return max(10, int(draft.deals * _PROJECTS_PER_DEAL))


def _boards_and_phases(draft: Draft) -> None:
    born = draft.season.start
    boards = draft.records["project_boards"] = []
    phases = draft.records["project_phases"] = []
    for name, steps in _BOARDS.items():
        boards.append(_placed(len(boards) + 1, name, len(boards) + 1, born))
        for order, step in enumerate(steps, 1):
            row = _placed(len(phases) + 1, step, order, born + order)
            phases.append(row | {"board_id": boards[-1]["id"]})


def _placed(number: int, name: str, order: int, born: int) -> Record:
    return {"id": number, "name": name, "order_nr": order, "add_time": born, "update_time": born}


def _project(draft: Draft, rng: Random, number: int, deal: Record) -> Record:
    season = draft.season
    phase = pick(rng, draft.records["project_phases"])
    status = weighted(rng, _STATUSES)
    born = season.edited(rng, deal["close_time"] or deal["add_time"], 30, 0.9)
    turned = born if status == "open" else season.edited(rng, born, 120, 1.0)
    updated = season.edited(rng, turned, 60, 0.4)
    archived = status in ("completed", "canceled") and rng.random() < _ARCHIVED
    return {
        "id": number,
        "title": deal["title"],
        "description": "" if rng.random() < 0.5 else pick(rng, draft.people.phrases),
        "status": status,
        "board_id": phase["board_id"],
        "phase_id": phase["id"],
        "owner_id": deal["owner_id"],
        "start_date": date_text(born),
        "end_date": date_text(born + int((30 + rng.random() * 90) * DAY)) if rng.random() < 0.8 else None,
        "deal_ids": [deal["id"]],
        "person_ids": [deal["person_id"]] if deal["person_id"] else [],
        "org_ids": [deal["org_id"]] if deal["org_id"] else [],
        "label_ids": [1 + int(rng.random() * 3)] if rng.random() < 0.3 else [],
        "health_status": pick(rng, (10, 20, 30)) if rng.random() < 0.5 else None,
        "add_time": born,
        "update_time": updated,
        "status_change_time": turned,
        "archive_time": updated if archived else None,
        "custom_fields": {},
    }


def _tasks(draft: Draft, rng: Random, staff: list[int]) -> list[Record]:
    """Return some tasks of each project; the second one is a subtask of the first."""
    rows: list[Record] = []
    for project in draft.records["projects"]:
        first: int | None = None
        for place in range(int(rng.random() * 6)):
            born = draft.season.edited(rng, project["add_time"], 30, 0.9)
            done = rng.random() < 0.5
            marked = draft.season.edited(rng, born, 30, 1.0) if done else None
            due = born + int(rng.random() * 40 * DAY)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "title": pick(rng, _TASKS),
                    "creator_id": pick(rng, staff),
                    "description": "<p>Ver anexo</p>" if rng.random() < 0.3 else None,
                    "project_id": project["id"],
                    "is_done": done,
                    "is_milestone": place == 0 and rng.random() < 0.2,
                    "due_date": date_text(due) if rng.random() < 0.7 else None,
                    "start_date": date_text(born) if rng.random() < 0.4 else None,
                    "parent_task_id": first if place == 1 else None,
                    "assignee_ids": rng.sample(staff, int(rng.random() * 3)),
                    "priority": pick(rng, (1, 2, 3)) if rng.random() < 0.3 else None,
                    "add_time": born,
                    "update_time": marked or born,
                    "marked_as_done_time": marked,
                }
            )
            first = first or rows[-1]["id"]
    return rows
