"""The tables: one per resource, and the columns that dispatching runs needs.

Invariants: times are integer milliseconds (UTC); 0 means "not yet". Ids are UUID text. JSON documents are text, never a
database's own JSON type, so that SQLite, PostgreSQL and MySQL behave alike. Texts that are indexed fit MySQL's key
limits. Deleting a run deletes its events, tasks and artifacts, but not its cache entries (executor.md §10.24).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects import mysql

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
Blob = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
Id = String(64)
# Compared byte by byte on every database: MariaDB otherwise takes two users for one whose names differ in case.
ExactName = String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")

experiments = Table(
    "experiments",
    metadata,
    Column("experiment_id", Id, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("description", LongText, nullable=False, default=""),
    Column("namespace", String(63), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("last_run_created_at", BigInteger, nullable=False, default=0),
    Column("storage_state", String(16), nullable=False),
    UniqueConstraint("namespace", "name"),
    Index(None, "created_at", "experiment_id"),
    Index(None, "namespace", "created_at", "experiment_id"),
    Index(None, "last_run_created_at", "experiment_id"),
)

pipelines = Table(
    "pipelines",
    metadata,
    Column("pipeline_id", Id, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("display_name", String(256), nullable=False),
    Column("description", LongText, nullable=False, default=""),
    Column("namespace", String(63), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("namespace", "name"),
    Index(None, "created_at", "pipeline_id"),
    Index(None, "namespace", "created_at", "pipeline_id"),
)

# Documents by the hash of their canonical text: a hundred thousand runs of one pipeline keep one copy.
specs = Table(
    "specs",
    metadata,
    Column("spec_hash", String(64), primary_key=True),
    Column("pipeline_spec", LongText, nullable=False),
    Column("platform_spec", LongText, nullable=False, default=""),
)

pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("pipeline_version_id", Id, primary_key=True),
    Column("pipeline_id", Id, ForeignKey("pipelines.pipeline_id", ondelete="CASCADE"), nullable=False),
    Column("name", String(127), nullable=False),
    Column("display_name", String(256), nullable=False),
    Column("description", LongText, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("spec_hash", String(64), ForeignKey("specs.spec_hash"), nullable=False),
    Column("package_url", LongText, nullable=False, default=""),
    Column("code_source_url", LongText, nullable=False, default=""),
    UniqueConstraint("pipeline_id", "name"),
    Index(None, "pipeline_id", "created_at", "pipeline_version_id"),
)

pipeline_tags = Table(
    "pipeline_tags",
    metadata,
    Column("pipeline_id", Id, ForeignKey("pipelines.pipeline_id", ondelete="CASCADE"), primary_key=True),
    Column("tag_key", String(63), primary_key=True),
    Column("tag_value", String(63), nullable=False),
    Index(None, "tag_key", "tag_value"),
)

pipeline_version_tags = Table(
    "pipeline_version_tags",
    metadata,
    Column(
        "pipeline_version_id",
        Id,
        ForeignKey("pipeline_versions.pipeline_version_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("tag_key", String(63), primary_key=True),
    Column("tag_value", String(63), nullable=False),
    Index(None, "tag_key", "tag_value"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("experiment_id", Id, nullable=False),
    Column("display_name", String(512), nullable=False),
    Column("description", LongText, nullable=False, default=""),
    Column("namespace", String(63), nullable=False, default=""),
    Column("service_account", String(253), nullable=False, default=""),
    Column("storage_state", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_history", LongText, nullable=False, default="[]"),
    Column("error", LongText, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("scheduled_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False, default=0),
    Column("pipeline_id", Id, nullable=False, default=""),
    Column("pipeline_version_id", Id, nullable=False, default=""),
    # The document that the run executes, fixed at creation; `submitted_spec` is an inline spec as it was sent, for
    # replies.
    Column("spec_hash", String(64), ForeignKey("specs.spec_hash"), nullable=False),
    Column("submitted_spec", LongText, nullable=False, default=""),
    # Null: the caller sent no runtime_config at all.
    Column("runtime_config", LongText, nullable=True),
    # RunOptions as JSON text; empty for runs of releases without options.
    Column("options", String(1024), nullable=False, default="", server_default=""),
    # The arguments for the engine, with macros expanded; JSON text.
    Column("arguments", LongText, nullable=False, default="{}"),
    Column("pipeline_root", LongText, nullable=False, default=""),
    Column("recurring_run_id", Id, nullable=False, default=""),
    Column("plugins_input", LongText, nullable=False, default=""),
    Column("resource_name", String(253), nullable=False, default=""),
    Column("pipeline_context_id", BigInteger, nullable=False, default=0),
    Column("pipeline_run_context_id", BigInteger, nullable=False, default=0),
    # As JSON text, for replies; null for none. Lists are filtered by `run_labels`.
    Column("labels", LongText, nullable=True),
    Column("created_by", ExactName, nullable=False, default="", server_default=""),
    # Dispatch. A run waits for an executor while `claimable` and its lease has ended.
    Column("claimable", Boolean, nullable=False),
    Column("terminate_requested", Boolean, nullable=False, default=False),
    Column("lease_owner", String(128), nullable=False, default=""),
    Column("lease_expires_at", BigInteger, nullable=False, default=0),
    # Whose turn it is: the lowest is first (`penstock_ir.ranks`). 0 in rows of releases without priorities.
    Column("queue_rank", BigInteger, nullable=False, default=0, server_default="0"),
    # Attempts of it have rows in `slot_demands`, or had.
    Column("takes_slots", Boolean, nullable=False, default=False, server_default=false()),
    Column("fence", BigInteger, nullable=False, default=0),
    Column("next_sequence", BigInteger, nullable=False, default=0),
    # How often the run, its tasks or its artifacts have changed: grows with every transaction that changes them.
    Column("changes", BigInteger, nullable=False, default=0, server_default="0"),
    Index(None, "created_at", "run_id"),
    Index(None, "namespace", "created_at", "run_id"),
    Index(None, "experiment_id", "created_at", "run_id"),
    Index(None, "state", "created_at", "run_id"),
    Index(None, "storage_state", "created_at", "run_id"),
    # For COUNT: when nearly all rows match, PostgreSQL scans the table rather than an index of three columns.
    Index(None, "storage_state"),
    Index(None, "finished_at", "run_id"),
    Index(None, "display_name", "run_id"),
    Index(None, "claimable", "lease_expires_at"),
    Index(None, "claimable", "queue_rank", "run_id"),
    Index(None, "recurring_run_id", "created_at"),
    Index(None, "spec_hash"),
    Index(None, "pipeline_id", "created_at", "run_id"),
    Index(None, "created_by", "created_at", "run_id"),
)

run_labels = Table(
    "run_labels",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("label_key", ExactName, primary_key=True),
    Column("label_value", ExactName, nullable=False),
    Index(None, "label_key", "label_value"),
)

# What a run was given, as far as it is short, for filters of lists: `text` of strings and as JSON of other values.
run_parameters = Table(
    "run_parameters",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("name", ExactName, primary_key=True),
    Column("text", ExactName, nullable=False),
    # Of a number.
    Column("number", Double, nullable=True),
    Index(None, "name", "text"),
    Index(None, "name", "number"),
)

# The event log of a run, from which an executor rebuilds its state.
run_events = Table(
    "run_events",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Blob, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    # A hash of the path, since paths may be too long for an index key.
    Column("task_id", Id, primary_key=True),
    Column("path", LongText, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("name", String(512), nullable=False),
    Column("display_name", LongText, nullable=False, default=""),
    Column("parent_path", LongText, nullable=False, default=""),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("history", LongText, nullable=False, default="[]"),
    Column("attempt", Integer, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False, default=0),
    Column("started_at", BigInteger, nullable=False, default=0),
    Column("finished_at", BigInteger, nullable=False, default=0),
    Column("error", LongText, nullable=False, default=""),
    Column("execution_id", BigInteger, nullable=False, default=0),
    Column("inputs", LongText, nullable=False, default="{}"),
    Column("outputs", LongText, nullable=False, default="{}"),
    Column("input_artifacts", LongText, nullable=False, default="{}"),
    Column("output_artifacts", LongText, nullable=False, default="{}"),
    Column("iteration_index", Integer, nullable=True),
    Column("pod_name", String(253), nullable=False, default=""),
    Column("log_uri", LongText, nullable=False, default=""),
    Column("fingerprint", String(64), nullable=False, default=""),
    Column("phase", String(16), nullable=False, default="", server_default=""),
    Column("wake_at", BigInteger, nullable=False, default=0, server_default="0"),
    Column("waiting", LongText, nullable=True),
    # The task_id of the parent, empty for the root; null in rows of releases that had no such column.
    Column("parent_id", Id, nullable=True),
    # The number that `runs.changes` had with the task's latest change.
    Column("changed", BigInteger, nullable=False, default=0, server_default="0"),
    Index(None, "run_id", "ordinal"),
    Index(None, "run_id", "parent_id", "ordinal"),
    Index(None, "run_id", "changed"),
    Index(None, "pod_name"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("task_path", LongText, nullable=False),
    Column("port", String(255), nullable=False),
    Column("type", String(255), nullable=False),
    Column("display_name", LongText, nullable=False, default=""),
    Column("uri", LongText, nullable=False),
    Column("metadata", LongText, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    Column("metadata_id", BigInteger, nullable=False, default=0),
    Index(None, "run_id", "created_at"),
    Index(None, "created_at", "name"),
    Index(None, "type", "created_at"),
)

# Attempts of tasks and when they came to their phases, as executors told. No decision depends on it.
attempts = Table(
    "attempts",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger, nullable=False, default=0),
    Column("placed_at", BigInteger, nullable=False, default=0),
    Column("scheduled_at", BigInteger, nullable=False, default=0),
    Column("prepared_at", BigInteger, nullable=False, default=0),
    Column("fetched_at", BigInteger, nullable=False, default=0),
    Column("started_at", BigInteger, nullable=False, default=0),
    Column("finished_at", BigInteger, nullable=False, default=0),
    Column("stored_at", BigInteger, nullable=False, default=0),
    Column("ended_at", BigInteger, nullable=False, default=0),
    # succeeded, or the kind of its failure; empty until it has ended.
    Column("outcome", String(16), nullable=False, default=""),
    Column("exit_code", Integer, nullable=True),
    Column("error", LongText, nullable=False, default=""),
    Column("pod_name", String(253), nullable=False, default=""),
    Column("log_uri", LongText, nullable=False, default=""),
    Column("node", String(253), nullable=False, default=""),
    # What it runs in, for people.
    Column("placement", String(800), nullable=False, default="", server_default=""),
    # What tells its lines in the log of a Pod that many attempts share; empty for one with a Pod of its own.
    Column("log_mark", String(63), nullable=False, default="", server_default=""),
)

# What tasks share, and limits of namespaces and users (`domain/pools.py`).
pools = Table(
    "pools",
    metadata,
    # Whose it is; empty: everybody's.
    Column("namespace", String(63), primary_key=True),
    Column("name", ExactName, primary_key=True),
    # Null: a namespace without a limit.
    Column("slots", Integer, nullable=True),
    Column("weight", Integer, nullable=False),
)

# What attempts hold of pools, and what they wait for: from when they ask until they have ended.
slot_demands = Table(
    "slot_demands",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("pool_namespace", String(63), primary_key=True),
    Column("pool_name", ExactName, primary_key=True),
    Column("slots", Integer, nullable=False),
    # The namespace of the run.
    Column("namespace", String(63), nullable=False),
    Column("queue_rank", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    # All rows of an attempt, or none; of a gang all attempts, or none.
    Column("granted", Boolean, nullable=False),
    # Names the gang within the run; empty: the attempt begins alone.
    Column("gang", String(64), nullable=False, default="", server_default=""),
    Index(None, "granted", "pool_name", "pool_namespace", "queue_rank"),
)

# Which task used or made which artifact: what lineage is followed along.
artifact_uses = Table(
    "artifact_uses",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("task_id", Id, primary_key=True),
    Column("artifact_name", String(128), primary_key=True),
    # Made it, or answered with it from the cache; otherwise the task used it.
    Column("output", Boolean, primary_key=True),
    Column("port", String(255), primary_key=True),
    # When the task appeared: of thousands of uses the newest are looked at.
    Column("created_at", BigInteger, nullable=False),
    Index(None, "artifact_name", "output", "created_at"),
)

recurring_runs = Table(
    "recurring_runs",
    metadata,
    Column("recurring_run_id", Id, primary_key=True),
    Column("display_name", String(512), nullable=False),
    Column("description", LongText, nullable=False, default=""),
    Column("experiment_id", Id, nullable=False),
    Column("namespace", String(63), nullable=False, default=""),
    Column("service_account", String(253), nullable=False, default=""),
    Column("resource_name", String(63), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("max_concurrency", Integer, nullable=False),
    Column("no_catchup", Boolean, nullable=False),
    Column("cron", String(255), nullable=False, default=""),
    Column("interval_seconds", BigInteger, nullable=False, default=0),
    Column("start_at", BigInteger, nullable=False, default=0),
    Column("end_at", BigInteger, nullable=False, default=0),
    # Empty: each fire takes the newest version of the pipeline.
    Column("spec_hash", String(64), nullable=False, default=""),
    Column("pipeline_id", Id, nullable=False, default=""),
    Column("pipeline_version_id", Id, nullable=False, default=""),
    Column("submitted_spec", LongText, nullable=False, default=""),
    Column("runtime_config", LongText, nullable=True),
    Column("parameters", LongText, nullable=False, default="{}"),
    Column("pipeline_root", LongText, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("fires", BigInteger, nullable=False, default=0),
    Column("last_fired_at", BigInteger, nullable=False, default=0),
    # 0: never again.
    Column("next_fire_at", BigInteger, nullable=False, default=0),
    Column("error", LongText, nullable=False, default=""),
    Column("plugins_input", LongText, nullable=True),
    Index(None, "created_at", "recurring_run_id"),
    Index(None, "namespace", "created_at", "recurring_run_id"),
    Index(None, "experiment_id", "created_at", "recurring_run_id"),
    Index(None, "enabled", "next_fire_at"),
)

# Who carries runs out: what each executor said of itself when it was heard of last.
executors = Table(
    "executors",
    metadata,
    # As `runs.lease_owner`.
    Column("owner", String(128), primary_key=True),
    Column("backend", String(32), nullable=False),
    Column("version", String(64), nullable=False),
    Column("places", Integer, nullable=False),
    Column("open_attempts", Integer, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Index(None, "seen_at"),
)

# No foreign key to runs: deleting a run must not delete results that other runs may reuse.
cache_entries = Table(
    "cache_entries",
    metadata,
    Column("entry_id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("fingerprint", String(64), nullable=False),
    Column("namespace", String(63), nullable=False, default=""),
    Column("pipeline_name", String(255), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("task_path", LongText, nullable=False),
    Column("outputs", LongText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "fingerprint", "pipeline_name", "created_at"),
    Index(None, "pipeline_name", "entry_id"),
)

# The newest value of every scalar metric that a run's tasks reported, for sorting runs by it.
run_metrics = Table(
    "run_metrics",
    metadata,
    Column("run_id", Id, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("value", Double, nullable=False),
    Index(None, "name", "value", "run_id"),
)

# Who did, or was refused, what. Lines are added and removed, never changed.
audit_events = Table(
    "audit_events",
    metadata,
    Column("event_id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("user", String(255), nullable=False),
    Column("groups", LongText, nullable=False),
    Column("source", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("method", String(255), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("resource", String(63), nullable=False),
    Column("verb", String(63), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("object_id", Id, nullable=False),
    Column("object_name", String(255), nullable=False),
    Column("result", String(32), nullable=False),
    Column("reason", LongText, nullable=False),
    Index(None, "at"),
    Index(None, "namespace", "event_id"),
    Index(None, "user", "event_id"),
    Index(None, "object_id", "event_id"),
)

# Roles of users and groups in namespaces; exactly one of user and group is set.
role_bindings = Table(
    "role_bindings",
    metadata,
    Column("role_binding_id", Id, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("user", String(255), nullable=False, default=""),
    Column("group", String(255), nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    # A hash of the other columns: together they are too long for a key of MariaDB.
    Column("binding_key", String(64), nullable=False, unique=True),
    Index(None, "created_at", "role_binding_id"),
)

# Secrets are kept as hashes alone.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", Id, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("user", ExactName, nullable=False),
    # JSON lists.
    Column("groups", LongText, nullable=False),
    Column("role", String(16), nullable=False),
    Column("namespaces", LongText, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False, default=0),
    Column("revoked_at", BigInteger, nullable=False, default=0),
    Index(None, "user", "created_at", "token_id"),
    Index(None, "created_at", "token_id"),
)

# Who is logged in to the web UI.
sessions = Table(
    "sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("user", ExactName, nullable=False),
    # A JSON list.
    Column("groups", LongText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

driver_tasks = Table(
    "driver_tasks",
    metadata,
    Column("task_id", Id, primary_key=True),
    Column("namespace", String(63), nullable=False, default=""),
    Column("pipeline_name", String(255), nullable=False),
    Column("run_id", Id, nullable=False),
    Column("execution_id", String(63), nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False, default=0),
    Index(None, "fingerprint", "created_at"),
    Index(None, "created_at", "task_id"),
    Index(None, "namespace", "created_at", "task_id"),
)
