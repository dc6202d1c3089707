"""The command `dbt` as a sync runs it: the same results for less work.

launch.py starts this file with dbt's own Python. Each function replaces one part of dbt, whose
version is pinned in requirements/:

* manifest.json, which dbt writes twice in each run, is written when the project has changed;
* an unchanged project is not parsed: its manifest is a pickle, in the folder that dbt writes to;
* code that converts objects to and from dictionaries is generated for the classes that need it;
* files about the graph, which nobody reads, are not written;
* files of the project that have passed dbt's check of their form are not checked again;
* the source file that reads a flag is not searched for;
* the message of an error of the database ends with its SQLSTATE, which the supervisor reads;
* the next node gets the session of an earlier one, reset, instead of a new session;
* compiled Jinja templates are kept, for all target folders of a checkout;
* a name in `--select` is compared with the nodes that have it, not with all nodes, three times;
* a view that this project has created, and whose text does not depend on the database, is not
  compared with itself;
* debug messages that no logger writes are not made, and their fields are not converted;
* `graph` gives macros one dictionary for each node, and a query's result has types that are known;
* the command's arguments, and words for dates, are converted once;
* a target folder with nothing in it begins with what was parsed for another database;
* the garbage collector does not go through the parsed project again and again.
"""

from __future__ import annotations

import gc
import os
import pickle
import re
import select
import shutil
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

#: Beside the project: what is kept for all databases and target folders.
SHARED = Path(".pipeboard/dbt/parsed")
#: SQLSTATEs of errors of the client.
NOT_CONNECTED, CONNECTION_LOST = "08001", "08006"
SECONDS_OF_A_MONTH = 30 * 86_400


def is_current(manifest: Path, stamp: Path, fingerprint: str) -> bool:
    """Tell whether a manifest is that of the project, and nobody has written it since."""
    try:
        written = manifest.stat().st_mtime_ns
        return stamp.stat().st_mtime_ns >= written and stamp.read_text() == fingerprint
    except OSError:
        return False


def keep_manifest() -> None:
    """Write no manifest.json."""
    for module in ("dbt.parser.manifest", "dbt.task.runnable"):
        vars(import_module(module))["write_manifest"] = lambda *_, **__: None


def keep_parsed_project(folder: Path, fingerprint: str) -> None:
    """Parse the project when it has changed; otherwise load the manifest of the last parse.

    Args:
        folder: the file is here, which only this user can write.
        fingerprint: of the project's files and of dbt.

    """
    requires, parser = import_module("dbt.cli.requires"), import_module("dbt.parser.manifest")
    parse = requires.parse_manifest
    path = folder / "parsed_project.pickle"

    def parse_once(
        project: Any, write_perf_info: bool, write: bool, write_json: bool, integrations: Any
    ) -> Any:
        # Whatever a parse depends on: the project, the target, and the names in its relations.
        key = [fingerprint, sys.version, project.project_root, project.profile_name]
        key += [project.target_name, project.credentials.database, project.credentials.schema]
        manifest = None if project.cli_vars else load_parts(path, key)
        if manifest is None:
            manifest = parse(project, write_perf_info, write, write_json, integrations)
            if not project.cli_vars:
                save_parts(path, key, manifest)
            return manifest
        manifest.build_flat_graph()
        manifest.metadata.invocation_id = parser.get_invocation_id()
        requires._wire_adapter_for_external_manifest(project, manifest, integrations)
        if write and write_json:
            parser.write_manifest(manifest, project.project_target_path)
        return manifest

    vars(requires)["parse_manifest"] = parse_once


def load_parts(path: Path, key: list[str]) -> Any:
    """Return the manifest that was saved with this key; None if there is none."""
    try:
        with path.open("rb") as file:
            if pickle.load(file) == key:
                parts = pickle.load(file)
                return import_module("dbt.contracts.graph.manifest").Manifest(**parts)
    except Exception:  # whatever is wrong with it, dbt then parses
        path.unlink(missing_ok=True)
    return None


def save_parts(path: Path, key: list[str], manifest: Any) -> None:
    """Save what a parse has found; dbt builds its indexes anew, and `files` are for a parse."""
    unused = ("files", "flat_graph")
    parts = {
        name: value
        for name, value in vars(manifest).items()
        if name[0] != "_" and name not in unused and name in manifest.__dataclass_fields__
    }
    new = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            pickle.dump(key, file)
            pickle.dump(parts, file, pickle.HIGHEST_PROTOCOL)
        new.replace(path)


def generate_code_when_needed() -> None:
    """Generate a class's code for dictionaries at its first use; before dbt is imported.

    mashumaro can do so itself, but it then compiles a function for each class that generates it.
    """
    config, mixins = import_module("mashumaro.config"), import_module("mashumaro.mixins.dict")
    builder = import_module("mashumaro.core.meta.code.builder").CodeBuilder
    config.BaseConfig.lazy_compilation = True

    def defer(cls: Any, name: Any, method: Any) -> None:
        for attribute in (name, name.public):
            setattr(cls, attribute, method)

    def defer_packer(
        cls: Any,
        format_name: str = "dict",
        dialect: Any = None,
        encoder: Any = None,
        encoder_kwargs: Any = None,
    ) -> None:
        name = builder.get_pack_method_name(format_name=format_name, encoder=encoder)
        options = {"encoder": encoder, "encoder_kwargs": encoder_kwargs, "default_dialect": dialect}

        def pack(self: Any, *values: Any, **flags: Any) -> Any:
            generate(type(self), name, format_name, options).add_pack_method()
            return getattr(self, name)(*values, **flags)

        defer(cls, name, pack)

    def defer_unpacker(
        cls: Any, format_name: str = "dict", dialect: Any = None, decoder: Any = None
    ) -> None:
        name = builder.get_unpack_method_name(format_name=format_name, decoder=decoder)
        options = {"decoder": decoder, "default_dialect": dialect}

        def unpack(cls: Any, *values: Any, **flags: Any) -> Any:
            generate(cls, name, format_name, options).add_unpack_method()
            return getattr(cls, name)(*values, **flags)

        defer(cls, name, classmethod(unpack))

    def generate(cls: Any, name: str, format_name: str, options: dict[str, Any]) -> Any:
        return builder(
            cls,
            first_method=name,
            format_name=format_name,
            allow_postponed_evaluation=False,
            **options,
        )

    vars(mixins).update(compile_mixin_packer=defer_packer, compile_mixin_unpacker=defer_unpacker)


def skip_files_about_graph() -> None:
    """Write no graph_summary.json and no graph.gpickle."""
    compilation = import_module("dbt.compilation")
    compilation.Linker.get_graph_summary = lambda *_: {}
    compilation.Compiler.write_graph_file = lambda *_: None


def skip_checked_forms() -> None:
    """Check the form of connections only: files of a known project were checked when parsed."""
    mixin = import_module("dbt_common.dataclass_schema").dbtClassMixin
    credentials = import_module("dbt.adapters.contracts.connection").Credentials
    check = mixin.validate.__func__

    def check_connection(cls: Any, data: Any) -> None:
        if issubclass(cls, credentials):
            check(cls, data)

    mixin.validate = classmethod(check_connection)


def name_no_callers() -> None:
    """Give a flag of dbt no name of the module that reads it, which only a warning shows."""
    flags = import_module("dbt_common.behavior_flags").BehaviorFlagRendered
    flags._default_source = staticmethod(lambda: "dbt")


def name_sqlstates() -> None:
    """End the message of an error of the database with its SQLSTATE.

    By it the supervisor tells a database that was away, full or busy from wrong data. psycopg2 has
    none for a connection that cannot be opened, or that was lost.
    """
    database_error = import_module("psycopg2").Error
    runtime_error = import_module("dbt_common.exceptions").DbtRuntimeError
    manager = import_module("dbt.adapters.postgres.connections").PostgresConnectionManager
    handle, open_session = manager.exception_handler, manager.open.__func__

    def name(error: Any, state: str) -> None:
        if "(SQLSTATE " not in str(error.msg):
            error.msg = f"{error.msg} (SQLSTATE {state})"

    @contextmanager
    def handle_and_name(self: Any, sql: Any) -> Iterator[None]:
        try:
            with handle(self, sql):
                yield
        except runtime_error as error:
            if isinstance(error.__cause__, database_error):
                name(error, error.__cause__.pgcode or CONNECTION_LOST)
            raise

    def open_and_name(cls: Any, connection: Any) -> Any:
        try:
            return open_session(cls, connection)
        except runtime_error as error:
            name(error, NOT_CONNECTED)
            raise

    manager.exception_handler, manager.open = handle_and_name, classmethod(open_and_name)


def reuse_sessions() -> None:
    """Keep the session of a closed connection for the next connection.

    A session that cannot be reset, or that the server has ended, is closed. For dbt a closed
    connection is closed, so a run that is cancelled ends the sessions in use and no others. All are
    closed when dbt closes what a run has left open.
    """
    manager = import_module("dbt.adapters.postgres.connections").PostgresConnectionManager
    open_session, close_session = manager.open.__func__, manager._close_handle.__func__
    cleanup = manager.cleanup_all
    idle: list[Any] = []

    def open_or_reuse(cls: Any, connection: Any) -> Any:
        while idle and connection.state != "open":
            session = idle.pop()
            # Something to read: the server has ended the session.
            if not select.select([session], [], [], 0)[0]:
                connection.handle, connection.state = session, "open"
            else:
                session.close()
        return open_session(cls, connection)

    def reset_or_close(cls: Any, connection: Any) -> None:
        session = connection.handle
        try:
            session.rollback()
            session.autocommit = True  # DISCARD ALL cannot run in a transaction
            with session.cursor() as cursor:
                cursor.execute("discard all")
            session.autocommit = False
        except Exception:  # after any error the session is not used again
            close_session(cls, connection)
        else:
            idle.append(session)

    def end_all(self: Any) -> None:
        cleanup(self)
        while idle:
            idle.pop().close()

    manager.open, manager._close_handle = classmethod(open_or_reuse), classmethod(reset_or_close)
    manager.cleanup_all = end_all


def keep_compiled_templates(folder: Path, *, is_changed: bool) -> None:
    """Keep the code that Jinja makes of a template for the next run, by Jinja's own cache.

    A checkout keeps it for all target folders, and an image has from the start what its parse made;
    what an image cannot keep, and what a project elsewhere makes, is in the target folder.

    Args:
        folder: in the target folder; dbt's environments have the same template in two forms.
        is_changed: delete the files of templates that the project may not have any more.

    """
    project = Path(os.environ.get("DBT_PROJECT_DIR") or ".").resolve()
    shared = project.parent / SHARED / "templates"
    with suppress(OSError):  # an image is read-only; a project elsewhere has no such folder
        if shared.parents[2].is_dir():
            shared.mkdir(parents=True, exist_ok=True)
    folders = [shared] if os.access(shared, os.W_OK) else [folder, shared]
    folders[0].mkdir(parents=True, exist_ok=True)
    caches = [import_module("jinja2").FileSystemBytecodeCache(str(path)) for path in folders]
    if is_changed:
        delete_old(folders[0], SECONDS_OF_A_MONTH if folders[0] == shared else 0)
    environment = import_module("dbt_common.clients.jinja").MacroFuzzEnvironment
    compile_template = environment.compile

    def compile_once(
        self: Any, source: Any, name: Any = None, filename: Any = None, **options: Any
    ) -> Any:
        if options or not isinstance(source, str):
            return compile_template(self, source, name, filename, **options)
        key = f"{type(self).__name__} {name} {source}"
        for cache in reversed(caches):
            bucket = cache.get_bucket(self, key, filename, source)
            if bucket.code is not None:
                return bucket.code
        bucket.code = compile_template(self, source, name, filename)
        caches[0].set_bucket(bucket)
        return bucket.code

    environment.compile = compile_once


def delete_old(folder: Path, seconds: int) -> None:
    """Delete the files of a folder that are older than that."""
    oldest = time.time() - seconds
    for file in folder.iterdir():
        with suppress(OSError):
            if file.stat().st_mtime <= oldest:
                file.unlink()


def select_by_index() -> None:
    """Compare a name in `--select` or `--exclude` with the nodes that have it in their path."""
    method = import_module("dbt.graph.selector_methods").QualifiedNameSelectorMethod
    search = method.search

    def index_nodes(manifest: Any) -> dict[str, set[str]]:
        index: dict[str, set[str]] = defaultdict(set)
        kinds = ("nodes", "exposures", "metrics", "unit_tests", "semantic_models")
        for kind in (*kinds, "saved_queries", "functions"):
            for node_id, node in getattr(manifest, kind).items():
                # Of a model with versions, the last two together are a name.
                parts = ".".join(node.fqn).split(".")
                for name in (*parts, *node.fqn, "_".join(node.fqn[-2:])):
                    index[name].add(node_id)
        return index

    def search_index(self: Any, included_nodes: Any, selector: str) -> Iterator[Any]:
        known = vars(self.manifest)
        if selector.isidentifier():
            if "nodes_by_name" not in known:
                known["nodes_by_name"] = index_nodes(self.manifest)
            included_nodes = known["nodes_by_name"][selector].intersection(included_nodes)
        yield from search(self, included_nodes, selector)

    method.search = search_index


#: What the text of a view must not use, to be the same in each build of a project.
DATABASE_OR_TIME = re.compile(
    r"\b(adapter|statement|run_query|load_relation|load_result|run_started_at|invocation_id|datetime)\b"
)


def skip_known_views(names: frozenset[str]) -> None:
    """Leave out views whose text only the project decides; their tests still run.

    Args:
        names: of the models that the project, as it is, has built before.

    """
    runner = import_module("dbt.task.run")
    compile_and_execute = runner.ModelRunner.compile_and_execute

    def is_known(self: Any, manifest: Any) -> bool:
        node = self.node
        config = node.config
        if node.name not in names or "view" not in config.materialized:
            return False
        if config.pre_hook or config.post_hook:
            return False
        if reads_database_or_time(node, manifest.macros):
            return False
        found = self.adapter.get_relation(node.database, node.schema, node.alias)
        return found is not None and found.type == "view"

    def execute_unless_known(self: Any, manifest: Any, ctx: Any) -> Any:
        if not is_known(self, manifest):
            return compile_and_execute(self, manifest, ctx)
        return runner.RunResult(
            node=self.node,
            status=runner.RunStatus.Success,
            timing=[],
            thread_id=threading.current_thread().name,
            execution_time=0.0,
            message="UNCHANGED",
            adapter_response={},
            failures=None,
            batch_results=None,
        )

    runner.ModelRunner.compile_and_execute = execute_unless_known


def reads_database_or_time(node: Any, macros: Any) -> bool:
    """Tell whether a model, or a macro that it uses at any depth, may give other text each time."""
    texts, seen = [node.raw_code], set()
    found = list(node.depends_on.macros)
    while found:
        name = found.pop()
        if name not in seen and name in macros:
            seen.add(name)
            texts.append(macros[name].macro_sql)
            found += macros[name].depends_on.macros
    return any(map(DATABASE_OR_TIME.search, texts))


def skip_unwritten_messages() -> None:
    """Make no debug message, unless a logger writes it; convert the fields of written ones only."""
    manager = import_module("dbt_common.events.event_manager").EventManager
    events = import_module("dbt_common.events.base_types")
    event, debug = events.BaseEvent, events.EventLevel.DEBUG
    fire_event, convert = manager.fire_event, event.__init__

    def fire_if_written(self: Any, e: Any, level: Any = None, *rest: Any, **options: Any) -> None:
        if (level or e.level_tag()) != debug or any(x.level == debug for x in self.loggers):
            fire_event(self, e, level, *rest, **options)

    def keep_fields(self: Any, *arguments: Any, **fields: Any) -> None:
        vars(self)["unconverted"] = arguments, fields

    def get(self: Any, name: str) -> Any:
        if name != "pb_msg":
            return getattr(self.pb_msg, name)
        arguments, fields = vars(self).pop("unconverted")
        convert(self, *arguments, **fields)
        return vars(self)[name]

    def set_field(self: Any, name: str, value: Any) -> None:
        if name == "pb_msg":
            vars(self)[name] = value
        else:
            setattr(self.pb_msg, name, value)

    event.__init__, event.__getattr__, event.__setattr__ = keep_fields, get, set_field
    manager.fire_event = fire_if_written


def keep_nodes_of_graph() -> None:
    """Make the dictionary of a node in the macros' `graph` once; they read what parsing has set."""
    mapping = import_module("dbt.contracts.graph.manifest").FlatGraphMapping
    make = mapping.__getitem__

    def make_once(self: Any, key: str) -> Any:
        made = vars(self).setdefault("made", {})
        if key not in made:
            made[key] = make(self, key)
        return made[key]

    mapping.__getitem__ = make_once


def keep_type_testers() -> None:
    """Make the types of a result's columns once for each set of text columns."""
    helper = vars(import_module("dbt_common.clients.agate_helper"))
    make = lru_cache(maxsize=None)(helper["build_type_tester"])
    helper["build_type_tester"] = lambda text_columns, string_null_values=("null", ""): make(
        frozenset(text_columns), tuple(string_null_values)
    )


def compute_once() -> None:
    """Compute once what is the same for each node: words for dates, and the command's arguments."""
    dates = vars(import_module("parsedatetime"))
    dates["Constants"] = lru_cache(maxsize=None)(dates["Constants"])
    providers = vars(import_module("dbt.context.providers"))
    convert, converted = providers["args_to_dict"], {}

    def convert_once(arguments: Any) -> Any:
        if id(arguments) not in converted:
            converted[id(arguments)] = arguments, convert(arguments)
        return dict(converted[id(arguments)][1])

    providers["args_to_dict"] = convert_once


def share_parsed_project() -> None:
    """Read what dbt parsed for another database, where the target folder has nothing yet.

    dbt keeps what it parsed for one connection, although all that a parse has of the connection are
    the names of database and schema. A copy is kept in `parsed/` beside the target folders, for
    each target and schema; an image has it from the start.
    """
    parser = import_module("dbt.parser.manifest")
    loader = parser.ManifestLoader
    read, write = loader.read_manifest_for_partial_parse, loader.write_manifest_for_partial_parse

    def own_and_shared(project: Any) -> tuple[Path, Path]:
        name = f"{project.target_name}-{project.credentials.schema}.msgpack"
        own = Path(project.project_target_path, parser.PARTIAL_PARSE_FILE_NAME)
        return own, Path(project.project_root).parent / SHARED / name

    def read_own_or_shared(self: Any) -> Any:
        own, shared = own_and_shared(self.root_project)
        if not own.exists() and shared.exists():
            # Whatever is wrong with it, dbt then parses from nothing.
            with suppress(Exception):
                parsed = parser.extended_mashumuro_decoder(shared.read_bytes())
                known = next(iter(parsed["nodes"].values()))["database"]
                parsed = in_database(parsed, known, self.root_project.credentials.database)
                parsed["state_check"]["profile_hash"] = (
                    self.manifest.state_check.profile_hash.to_dict()
                )
                content = parser.extended_mashumaro_encoder(parsed)
                own.parent.mkdir(parents=True, exist_ok=True)
                own.write_bytes(content)
        return read(self)

    def write_own_and_shared(self: Any) -> None:
        write(self)
        own, shared = own_and_shared(self.root_project)
        # An image is read-only; a project elsewhere has no such folder.
        with suppress(OSError):
            if shared.parents[2].is_dir():
                shared.parent.mkdir(parents=True, exist_ok=True)
                new = shared.with_suffix(f".{os.getpid()}")
                shutil.copyfile(own, new)
                new.replace(shared)

    loader.read_manifest_for_partial_parse = read_own_or_shared
    loader.write_manifest_for_partial_parse = write_own_and_shared


def in_database(part: Any, known: str, name: str) -> Any:
    """Return a part of a manifest, as of a database of another name."""
    if isinstance(part, dict):
        found = {key: in_database(value, known, name) for key, value in part.items()}
        if found.get("database") == known:
            found["database"] = name
        relation = found.get("relation_name")
        if isinstance(relation, str) and relation.startswith(f'"{known}".'):
            found["relation_name"] = f'"{name}".{relation[len(known) + 3 :]}'
        return found
    if isinstance(part, list):
        return [in_database(value, known, name) for value in part]
    return part


def save_work(templates: Path, *, is_changed: bool) -> None:
    """Change dbt in this process, for any number of commands.

    Args:
        templates: the folder of compiled templates.
        is_changed: the project has changed since they were written.

    """
    generate_code_when_needed()
    skip_files_about_graph()
    name_no_callers()
    name_sqlstates()
    reuse_sessions()
    keep_compiled_templates(templates, is_changed=is_changed)
    select_by_index()
    skip_unwritten_messages()
    keep_nodes_of_graph()
    keep_type_testers()
    compute_once()
    share_parsed_project()


def main() -> None:
    """Run dbt with the words of the command line; it ends this process with its exit code."""
    fingerprint = os.environ.get("PIPEBOARD_PROJECT_FINGERPRINT", "")
    target = Path(os.environ.get("DBT_TARGET_PATH", "target"))
    manifest, stamp = target / "manifest.json", target / "manifest.fingerprint"
    known = is_current(manifest, stamp, fingerprint)
    # In one command little becomes garbage after a while: a tenth of the CPU less, 5 MB more.
    gc.set_threshold(50_000, 50, 1_000_000)
    save_work(target / "templates", is_changed=not known)
    skip_known_views(frozenset(os.environ.get("PIPEBOARD_MODELS_BUILT_BEFORE", "").split()))
    if known:
        keep_manifest()
        skip_checked_forms()
    if fingerprint:
        keep_parsed_project(target, fingerprint)
    began = time.time_ns()
    try:
        import_module("dbt.cli.main").cli()
    finally:
        if not known and manifest.exists() and manifest.stat().st_mtime_ns >= began:
            stamp.write_text(fingerprint)


if __name__ == "__main__":
    main()
