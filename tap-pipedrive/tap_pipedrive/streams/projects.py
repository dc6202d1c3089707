"""Projects, an add-on: boards, phases, tasks, templates."""

from __future__ import annotations

from collections.abc import Iterator

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.api.records import Record
from tap_pipedrive.streams.definition_streams import DefinitionStream
from tap_pipedrive.streams.stream_types import FullTableStream


class _ProjectsAddOn(FullTableStream):
    """Off by default: without the add-on Pipedrive answers 403."""

    primary_keys = ("id",)
    selected_by_default = False


class Projects(_ProjectsAddOn):
    """Live and archived projects. GET /api/v2/projects and /api/v2/projects/archived.

    ``is_archived`` says from which list a project came.
    """

    name = "projects"
    operations = ("v2 /projects", "v2 /projects/archived")
    # Without this status the list hides deleted projects.
    query = {"status": "open,completed,canceled,deleted"}
    more_properties = {"is_archived": "boolean"}

    def record_pages(self) -> Iterator[list[Record]]:
        """Read both lists."""
        for key in self.operations:
            for page in self.pages(operation(key)):
                yield [{"is_archived": key.endswith("archived"), **row} for row in page.records]


class ProjectBoards(_ProjectsAddOn, DefinitionStream):
    """Boards that projects are on. GET /api/v2/boards."""

    name = "project_boards"
    operations = ("v2 /boards",)


class ProjectPhases(_ProjectsAddOn, DefinitionStream):
    """Phases of the project boards. GET /api/v2/phases, a call for each board."""

    name = "project_phases"
    operations = ("v2 /phases",)

    def record_pages(self) -> Iterator[list[Record]]:
        """Read the boards, and the phases of each."""
        for board in self.definitions(ProjectBoards):
            filters = {"board_id": board["id"]}
            for page in self.parent_pages(board["id"], path=False, query=filters):
                yield page.records


class ProjectTasks(_ProjectsAddOn):
    """Tasks of projects. GET /api/v2/tasks."""

    name = "project_tasks"
    operations = ("v2 /tasks",)


class ProjectTemplates(_ProjectsAddOn, DefinitionStream):
    """Templates that projects are made from. GET /api/v2/projectTemplates."""

    name = "project_templates"
    operations = ("v2 /projectTemplates",)
