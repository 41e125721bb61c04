"""A user of an installation in multi-user mode, who runs pipelines over REST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support import http
from tools.testing import runs, specs

WRITES = ["sh", "-c", 'mkdir -p "$(dirname "$0")" && echo "$1" >"$0"', "{{$.outputs.artifacts['data'].path}}", "hello"]
SPEC = specs.container(WRITES, artifacts={"data": "system.Dataset"}, cached=True)
V2, OWN = "/apis/v2beta1", "/apis/penstock/v1"


@dataclass(frozen=True)
class User:
    """Calls over REST, through a proxy that the server trusts."""

    url: str
    name: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> http.Reply:
        return http.call(method, self.url + path, body, headers={"kubeflow-userid": self.name})

    def get(self, path: str) -> Any:
        reply = self.call("GET", path)
        assert reply.status == 200, reply.body
        return reply.json

    def experiment(self, namespace: str) -> str:
        body = {"display_name": "same name", "namespace": namespace}
        return str(self.call("POST", f"{V2}/experiments", body).json["experiment_id"])

    def executed(self, experiment_id: str) -> str:
        body = {"display_name": "a run", "experiment_id": experiment_id, "pipeline_spec": SPEC}
        run_id = str(self.call("POST", f"{V2}/runs", body).json["run_id"])
        state = runs.until(
            lambda: self.get(f"{V2}/runs/{run_id}")["state"], lambda found: found not in ("PENDING", "RUNNING"), 120
        )
        assert state == "SUCCEEDED"
        return run_id

    def task_state(self, run_id: str) -> str:
        (state,) = (
            one["state"] for one in self.get(f"{OWN}/runs/{run_id}/tasks")["tasks"] if one.get("path") == "only"
        )
        return str(state)

    def artifacts(self, namespace: str) -> list[dict[str, Any]]:
        return list(self.get(f"{OWN}/artifacts?namespace={namespace}")["artifacts"])
