"""Projects and tasks, of the add-on Projects."""

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Date, Entity, Id, Integer, List, Text, Timestamp


class Project(Entity):
    """A project, live or archived (`GET /api/v2/projects`, `GET /api/v2/projects/archived`)."""

    id: Id
    title: Text = None
    description: Text = Field(None, description="HTML")
    status: Text = Field(None, description="open, completed, canceled or deleted")
    board_id: Integer = None
    phase_id: Integer = None
    owner_id: Integer = None
    deal_ids: List = None
    person_ids: List = None
    org_ids: List = None
    label_ids: List = None
    health_status: Integer = None
    start_date: Date = None
    end_date: Date = None
    status_change_time: Timestamp = None
    archive_time: Timestamp = Field(None, description="Nothing while it is not archived")
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectBoard(Entity):
    """A board of projects (`GET /api/v2/boards`)."""

    id: Id
    name: Text = None
    order_nr: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectPhase(Entity):
    """A phase on a board of projects (`GET /api/v2/phases`)."""

    id: Id
    board_id: Integer = None
    name: Text = None
    order_nr: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectTemplate(Entity):
    """What projects can be made from (`GET /api/v2/projectTemplates`)."""

    id: Id
    title: Text = None
    description: Text = None
    projects_board_id: Integer = None
    owner_id: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Task(Entity):
    """A task of a project (`GET /api/v2/tasks`)."""

    id: Id
    title: Text = None
    description: Text = Field(None, description="HTML")
    project_id: Integer = None
    parent_task_id: Integer = None
    creator_id: Integer = None
    assignee_ids: List = None
    priority: Integer = None
    is_done: Boolean = None
    is_milestone: Boolean = None
    start_date: Date = None
    due_date: Date = None
    marked_as_done_time: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None
