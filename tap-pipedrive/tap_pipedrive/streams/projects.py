"""Projects and tasks, of the add-on Projects."""

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import Boolean, Date, Entity, Id, Integer, List, Text, Timestamp, UserId
from tap_pipedrive.listings import CursorListing, WholeListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.sync import OptionalStream

PROJECT_PARAMS = {"status": "open,completed,canceled,deleted"}


class Project(Entity):
    id: Id
    title: Text = None
    description: Text = Field(None, description="HTML")
    status: Text = Field(None, description="open, completed, canceled or deleted")
    board_id: Integer = None
    phase_id: Integer = None
    owner_id: UserId = None
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


class Projects(OptionalStream):
    """Projects, live and archived (an add-on)."""

    name = "projects"
    entity = Project
    custom_fields_of = "project"
    listings = [
        CursorListing("/api/v2/projects", price=10, name="live", params=PROJECT_PARAMS),
        CursorListing("/api/v2/projects/archived", price=10, name="archived", params=PROJECT_PARAMS),
    ]


class ProjectBoard(Entity):
    id: Id
    name: Text = None
    order_nr: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectBoards(OptionalStream):
    """Boards of projects (an add-on)."""

    name = "project_boards"
    entity = ProjectBoard
    listings = [WholeListing("/api/v2/boards", price=10)]


class ProjectPhase(Entity):
    id: Id
    board_id: Integer = None
    name: Text = None
    order_nr: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectPhases(OptionalStream):
    """Phases on the boards of projects (an add-on)."""

    name = "project_phases"
    entity = ProjectPhase
    listings = [
        ChildListing(
            WholeListing("/api/v2/phases", price=10),
            Parents("project_boards", moved=None),
            key="board_id",
            many="board_id",
        )
    ]


class ProjectTemplate(Entity):
    id: Id
    title: Text = None
    description: Text = None
    projects_board_id: Integer = None
    owner_id: UserId = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProjectTemplates(OptionalStream):
    """Templates of projects (an add-on)."""

    name = "project_templates"
    entity = ProjectTemplate
    listings = [CursorListing("/api/v2/projectTemplates", price=10)]


class Task(Entity):
    id: Id
    title: Text = None
    description: Text = Field(None, description="HTML")
    project_id: Integer = None
    parent_task_id: Integer = None
    creator_id: UserId = None
    assignee_ids: List = None
    priority: Integer = None
    is_done: Boolean = None
    is_milestone: Boolean = None
    start_date: Date = None
    due_date: Date = None
    marked_as_done_time: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Tasks(OptionalStream):
    """Tasks of projects (an add-on)."""

    name = "tasks"
    entity = Task
    listings = [CursorListing("/api/v2/tasks", price=10)]
