"""Edits of definitions: fields, options, pipelines and stages."""

from __future__ import annotations

from pipedrive_simulator.account.fields import FieldDefinition, Option
from pipedrive_simulator.account.journal import mutation
from pipedrive_simulator.account.records import Pipeline, Stage
from pipedrive_simulator.account.state import AccountState, EditError


class DefinitionEdits(AccountState):
    """Mutations of definitions. They change no record's update time."""

    @mutation
    def add_field(
        self,
        entity: str,
        name: str,
        type: str,
        options: list[str] | None = None,
        *,
        at: str = "",
    ) -> FieldDefinition:
        """Define a custom field of `deal`, `person`, `organization` or `product`."""
        fields = self.fields[entity]
        made = fields.add(name, type, options, first_option=fields.next_option_id())
        self._definitions_changed(entity)
        return made

    @mutation
    def rename_field(self, entity: str, field: str, name: str, *, at: str = "") -> FieldDefinition:
        """Give a custom field another label; its key stays."""
        known = self.fields[entity].find(field)
        known.name = name
        return known

    @mutation
    def remove_field(self, entity: str, field: str, *, at: str = "") -> None:
        """Delete a custom field: records no longer have the key."""
        self.fields[entity].remove(field)
        self._definitions_changed(entity)

    @mutation
    def add_option(self, entity: str, field: str, label: str, *, at: str = "") -> Option:
        """Add an option to an enum or set."""
        made = Option(self.fields[entity].next_option_id(), label)
        self._options(entity, field).append(made)
        return made

    @mutation
    def rename_option(
        self, entity: str, field: str, option_id: int, label: str, *, at: str = ""
    ) -> Option:
        """Give an option another label; its id stays."""
        for option in self._options(entity, field):
            if option.id == option_id:
                option.label = label
                return option
        msg = f"field {field!r} has no option {option_id}"
        raise EditError(msg)

    @mutation
    def remove_option(self, entity: str, field: str, option_id: int, *, at: str = "") -> None:
        """Delete an option; records keep its id, which then has no label."""
        options = self._options(entity, field)
        options[:] = [option for option in options if option.id != option_id]

    @mutation
    def create_pipeline(self, name: str, *, at: str = "") -> Pipeline:
        """Add a pipeline without stages."""
        number = self.next_id(self.pipelines)
        return self.pipelines.put(Pipeline(id=number, name=name, order_nr=number, add_time=at))

    @mutation
    def create_stage(
        self, name: str, pipeline_id: int, *, at: str = "", deal_probability: int = 100
    ) -> Stage:
        """Add a stage at the end of a pipeline."""
        order = sum(1 for s in self.stages.records.values() if s.pipeline_id == pipeline_id) + 1
        stage = Stage(
            id=self.next_id(self.stages), name=name, pipeline_id=pipeline_id, order_nr=order,
            deal_probability=deal_probability, add_time=at,
        )  # fmt: skip
        return self.stages.put(stage)

    @mutation
    def rename_stage(self, stage_id: int, name: str, *, at: str = "") -> None:
        """Give a stage another name."""
        stage = self.record_of(self.stages, stage_id)
        self.stages.change(stage, {"name": name, "update_time": at})

    @mutation
    def rename_pipeline(self, pipeline_id: int, name: str, *, at: str = "") -> None:
        """Give a pipeline another name."""
        pipeline = self.record_of(self.pipelines, pipeline_id)
        self.pipelines.change(pipeline, {"name": name, "update_time": at})

    @mutation
    def delete_stage(self, stage_id: int, *, at: str = "") -> None:
        """Delete a stage: the list no longer returns it, history still names it."""
        stage = self.record_of(self.stages, stage_id)
        self.stages.change(stage, {"is_deleted": True, "update_time": at})

    # ---- inside

    def _options(self, entity: str, field: str) -> list[Option]:
        options = self.fields[entity].find(field).options
        if options is None:
            msg = f"field {field!r} has no options"
            raise EditError(msg)
        return options

    def _definitions_changed(self, entity: str) -> None:
        self.tables[f"{entity}s"].forget_encoded()
