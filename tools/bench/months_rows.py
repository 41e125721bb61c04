"""What the rows of `months_filled` hold: expressions of PostgreSQL for a run by its number, and what runs refer to.

The shares are plausible ones, not those of an installation: 50 experiments, of which the largest has 14 % of the runs,
in 20 namespaces; 85 % succeeded, 10 % failed, 5 % were canceled; 5 % are archived; 30 % are of schedules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock_server.storage import tables
from sqlalchemy import Table

from tools.testing import specs

EXPERIMENTS, NAMESPACES, PIPELINES = 50, 20, 500

# `n`, the number of a run in the order of creation, with what several columns are made from. Percent signs of operators
# are doubled: a single one stands for a value.
NUMBERED = """
SELECT n, n %% 500 AS pipeline, floor(50 * power(((n * 7919) %% 10007) / 10007.0::float8, 2))::bigint AS experiment,
    %(begin)s::bigint + n * (%(now)s::bigint - %(begin)s::bigint) / %(size)s::bigint AS at,
    n >= %(size)s::bigint - 2 * %(queued)s::bigint AS queued, n >= %(size)s::bigint - %(queued)s::bigint AS waits,
    CASE WHEN n %% 20 < 17 THEN 'SUCCEEDED' WHEN n %% 20 < 19 THEN 'FAILED' ELSE 'CANCELED' END AS ended
FROM generate_series(0::bigint, %(size)s::bigint - 1) AS n
"""

EXPRESSIONS = {
    "run_id": "md5('run ' || n)::uuid::text",
    "experiment_id": "md5('experiment ' || experiment)::uuid::text",
    "display_name": "'nightly ' || n",
    "namespace": "'team-' || experiment %% 20",
    "service_account": "'pipeline-runner'",
    "storage_state": "CASE WHEN n %% 20 = 3 AND NOT queued THEN 'ARCHIVED' ELSE 'AVAILABLE' END",
    "state": "CASE WHEN waits THEN 'PENDING' WHEN queued THEN 'RUNNING' ELSE ended END",
    "state_history": "CASE WHEN waits THEN '[[\"PENDING\",' || at || ']]'"
    " ELSE '[[\"PENDING\",' || at || '],[\"RUNNING\",' || at + 900 || ']'"
    " || CASE WHEN queued THEN ']' ELSE ',[\"' || ended || '\",' || at + 600000 || ']]' END END",
    "created_at": "at",
    "scheduled_at": "at",
    "finished_at": "CASE WHEN queued THEN 0 ELSE at + 600000 END",
    "pipeline_id": "md5('pipeline ' || pipeline)::uuid::text",
    "pipeline_version_id": "md5('version ' || pipeline)::uuid::text",
    "spec_hash": "md5('spec ' || pipeline) || md5('more ' || pipeline)",
    "runtime_config": '\'{"parameters":{"rate":0.01}}\'',
    "options": "%(options)s::text",
    "arguments": "'{\"rate\":0.01}'",
    "recurring_run_id": "CASE WHEN n %% 10 < 3 THEN md5('schedule ' || n %% 200)::uuid::text ELSE '' END",
    "resource_name": "'nightly-' || substr(md5('name ' || n), 1, 5)",
    "created_by": "'user-' || n %% 100 || '@example.com'",
    "claimable": "queued",
    "lease_owner": "CASE WHEN queued AND NOT waits THEN 'executor/1' ELSE '' END",
    "lease_expires_at": "CASE WHEN queued AND NOT waits THEN at + 86400000 * 365::bigint ELSE 0 END",
    "queue_rank": "at",
    "fence": "CASE WHEN waits THEN 0 ELSE 1 END",
    "next_sequence": "CASE WHEN waits THEN 0 ELSE 20 END",
    "changes": "CASE WHEN waits THEN 0 ELSE 12 END",
}


def others(id_of: Callable[[str, int], str], at: int) -> dict[Table, list[dict[str, Any]]]:
    """What runs refer to, by table, in the order in which they refer to each other."""
    document = json.dumps(specs.container(["true"]))
    return {
        tables.specs: [
            {"spec_hash": spec_hash(id_of, number), "pipeline_spec": document, "platform_spec": ""}
            for number in range(PIPELINES)
        ],
        tables.experiments: [
            {
                "experiment_id": id_of("experiment", number), "name": f"experiment {number}",
                "namespace": namespace_of(number), "created_at": at + number, "storage_state": "AVAILABLE",
            }
            for number in range(EXPERIMENTS)
        ],
        tables.pipelines: [
            {
                "pipeline_id": id_of("pipeline", number), "name": f"pipeline {number}",
                "display_name": f"pipeline {number}", "created_at": at + number,
            }
            for number in range(PIPELINES)
        ],
        tables.pipeline_versions: [
            {
                "pipeline_version_id": id_of("version", number), "pipeline_id": id_of("pipeline", number), "name": "v",
                "display_name": "v", "created_at": at + number, "spec_hash": spec_hash(id_of, number),
            }
            for number in range(PIPELINES)
        ],
    }  # fmt: skip


def namespace_of(experiment: int) -> str:
    return f"team-{experiment % NAMESPACES}"


def spec_hash(id_of: Callable[[str, int], str], number: int) -> str:
    return (id_of("spec", number) + id_of("more", number)).replace("-", "")
