"""The figures that both programs have for Prometheus, docs/admin/metrics.md, made from what they really answer.

Why from the answers: names, kinds and labels are those a query needs, `_total` included. Invariants: each program's
telemetry is filled with one value of everything, so that every label is there; figures of the process itself are those
of the Prometheus client's library and are named once.

Example: python -m tools.reference_metrics
"""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from penstock_executor.dispatch.figures import Figures, Vitals
from penstock_executor.telemetry import Telemetry as ExecutorTelemetry
from penstock_ir.task_rows import TaskPhase
from penstock_server.telemetry import Telemetry as ServerTelemetry
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).resolve().parents[1] / "docs" / "admin" / "metrics.md"
_INTRODUCTION = """# Metrics

What server and executor have at `/metrics`, in the text format of Prometheus. Made by `make reference`; what to watch
and which alerts to set is in [monitoring.md](monitoring.md). Times are seconds. A histogram has the series `_bucket`,
`_sum` and `_count`. Besides, both have `process_…`: memory, CPU time, open files of the process.
"""
_OWN = "penstock_"


def page() -> str:
    """The content of docs/admin/metrics.md."""
    text = _INTRODUCTION
    text += "\n## Server\n\nOn the HTTP port (8888).\n" + _table(_server())
    text += "\n## Executor\n\nOn the port of `--http` (`PENSTOCK_EXECUTOR_HTTP`); 8889 in the manifests.\n"
    return text + _table(asyncio.run(_executor()))


def _server() -> str:
    telemetry = ServerTelemetry(lambda: (1, 1))
    with telemetry.call("method") as answered:
        answered("OK")
    telemetry.transaction("kind", 1.0)
    telemetry.certificate(lambda: (1.0, 1, 1))
    return telemetry.exposition().decode()


async def _executor() -> str:
    telemetry = ExecutorTelemetry()
    telemetry.kubernetes_call("verb", "200", 1.0)
    figures = Figures(1, 1, {TaskPhase.LAUNCHED.value: 1}, 1, 1, 1, 1)
    async with telemetry.serving(Vitals(lambda: figures, lambda: ()), "127.0.0.1", 0) as port:
        return await asyncio.to_thread(_read, f"http://127.0.0.1:{port}/metrics")


def _read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def _table(exposition: str) -> str:
    families = [one for one in text_string_to_metric_families(exposition) if one.name.startswith(_OWN)]
    rows = [_row(one) for one in sorted(families, key=lambda one: one.name) if not one.name.endswith("_created")]
    return "\n| name | kind | labels | meaning |\n|---|---|---|---|\n" + "".join(rows)


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    return f"| `{name}` | {family.type} | {', '.join(f'`{one}`' for one in labels)} | {family.documentation} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
