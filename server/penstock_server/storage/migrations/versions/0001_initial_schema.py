"""The initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cache_entries",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("pipeline_name", sa.String(length=255), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column(
            "task_path",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "outputs",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_cache_entries")),
    )
    with op.batch_alter_table("cache_entries", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_cache_entries_fingerprint_pipeline_name_created_at"),
            ["fingerprint", "pipeline_name", "created_at"],
            unique=False,
        )

    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column(
            "description",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_run_created_at", sa.BigInteger(), nullable=False),
        sa.Column("storage_state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("namespace", "name", name=op.f("uq_experiments_namespace_name")),
    )
    with op.batch_alter_table("experiments", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_experiments_created_at_experiment_id"), ["created_at", "experiment_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_experiments_last_run_created_at_experiment_id"),
            ["last_run_created_at", "experiment_id"],
            unique=False,
        )

    op.create_table(
        "pipelines",
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("display_name", sa.String(length=256), nullable=False),
        sa.Column(
            "description",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline_id", name=op.f("pk_pipelines")),
        sa.UniqueConstraint("namespace", "name", name=op.f("uq_pipelines_namespace_name")),
    )
    with op.batch_alter_table("pipelines", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pipelines_created_at_pipeline_id"), ["created_at", "pipeline_id"], unique=False
        )

    op.create_table(
        "specs",
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "pipeline_spec",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "platform_spec",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("spec_hash", name=op.f("pk_specs")),
    )
    op.create_table(
        "pipeline_tags",
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("tag_key", sa.String(length=63), nullable=False),
        sa.Column("tag_value", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipelines.pipeline_id"], name=op.f("fk_pipeline_tags_pipeline_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pipeline_id", "tag_key", name=op.f("pk_pipeline_tags")),
    )
    with op.batch_alter_table("pipeline_tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pipeline_tags_tag_key_tag_value"), ["tag_key", "tag_value"], unique=False)

    op.create_table(
        "pipeline_versions",
        sa.Column("pipeline_version_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=127), nullable=False),
        sa.Column("display_name", sa.String(length=256), nullable=False),
        sa.Column(
            "description",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "package_url",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "code_source_url",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["pipeline_id"],
            ["pipelines.pipeline_id"],
            name=op.f("fk_pipeline_versions_pipeline_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["spec_hash"], ["specs.spec_hash"], name=op.f("fk_pipeline_versions_spec_hash")),
        sa.PrimaryKeyConstraint("pipeline_version_id", name=op.f("pk_pipeline_versions")),
        sa.UniqueConstraint("pipeline_id", "name", name=op.f("uq_pipeline_versions_pipeline_id_name")),
    )
    with op.batch_alter_table("pipeline_versions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pipeline_versions_pipeline_id_created_at_pipeline_version_id"),
            ["pipeline_id", "created_at", "pipeline_version_id"],
            unique=False,
        )

    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=512), nullable=False),
        sa.Column(
            "description",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("namespace", sa.String(length=63), nullable=False),
        sa.Column("service_account", sa.String(length=253), nullable=False),
        sa.Column("storage_state", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column(
            "state_history",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "error",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.Column("pipeline_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline_version_id", sa.String(length=64), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "submitted_spec",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "runtime_config",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=True,
        ),
        sa.Column(
            "arguments",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "pipeline_root",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("recurring_run_id", sa.String(length=64), nullable=False),
        sa.Column(
            "plugins_input",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("resource_name", sa.String(length=253), nullable=False),
        sa.Column("pipeline_context_id", sa.BigInteger(), nullable=False),
        sa.Column("pipeline_run_context_id", sa.BigInteger(), nullable=False),
        sa.Column("claimable", sa.Boolean(), nullable=False),
        sa.Column("terminate_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=False),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["spec_hash"], ["specs.spec_hash"], name=op.f("fk_runs_spec_hash")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_runs_claimable_lease_expires_at"), ["claimable", "lease_expires_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_runs_created_at_run_id"), ["created_at", "run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_display_name_run_id"), ["display_name", "run_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_runs_experiment_id_created_at_run_id"),
            ["experiment_id", "created_at", "run_id"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_runs_finished_at_run_id"), ["finished_at", "run_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_runs_recurring_run_id_created_at"), ["recurring_run_id", "created_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_runs_spec_hash"), ["spec_hash"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_runs_state_created_at_run_id"), ["state", "created_at", "run_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_runs_storage_state_created_at_run_id"),
            ["storage_state", "created_at", "run_id"],
            unique=False,
        )

    op.create_table(
        "artifacts",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column(
            "task_path",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("port", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column(
            "display_name",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "uri",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "metadata",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("metadata_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_artifacts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", "run_id", name=op.f("pk_artifacts")),
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_artifacts_created_at_name"), ["created_at", "name"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifacts_run_id_created_at"), ["run_id", "created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifacts_type_created_at"), ["type", "created_at"], unique=False)

    op.create_table(
        "pipeline_version_tags",
        sa.Column("pipeline_version_id", sa.String(length=64), nullable=False),
        sa.Column("tag_key", sa.String(length=63), nullable=False),
        sa.Column("tag_value", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_version_id"],
            ["pipeline_versions.pipeline_version_id"],
            name=op.f("fk_pipeline_version_tags_pipeline_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pipeline_version_id", "tag_key", name=op.f("pk_pipeline_version_tags")),
    )
    with op.batch_alter_table("pipeline_version_tags", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pipeline_version_tags_tag_key_tag_value"), ["tag_key", "tag_value"], unique=False
        )

    op.create_table(
        "run_events",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "event",
            sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mariadb").with_variant(mysql.LONGBLOB(), "mysql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_run_events_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "sequence", name=op.f("pk_run_events")),
    )
    op.create_table(
        "tasks",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=64), nullable=False),
        sa.Column(
            "path",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column(
            "display_name",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "parent_path",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column(
            "history",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "error",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "inputs",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "outputs",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "input_artifacts",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column(
            "output_artifacts",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("iteration_index", sa.Integer(), nullable=True),
        sa.Column("pod_name", sa.String(length=253), nullable=False),
        sa.Column(
            "log_uri",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=False,
        ),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_tasks_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "task_id", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tasks_run_id_ordinal"), ["run_id", "ordinal"], unique=False)


def downgrade() -> None:
    # Indexes go with their tables; MariaDB lets none go alone that a key needs.
    for table in (
        "tasks",
        "run_events",
        "pipeline_version_tags",
        "artifacts",
        "runs",
        "pipeline_versions",
        "pipeline_tags",
        "specs",
        "pipelines",
        "experiments",
        "cache_entries",
    ):
        op.drop_table(table)
