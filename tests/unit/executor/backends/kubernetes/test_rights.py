"""Which rights that every task needs are missing in the API server's list of rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
from penstock_executor.backends.kubernetes.rights import NEEDED, check_rights
from penstock_kube.client import KubeClient
from penstock_kube.errors import ForbiddenError, NotFoundError

ALL = [{"apiGroups": [""], "resources": [resource], "verbs": list(verbs)} for resource, verbs in NEEDED]


class Reviews:
    """An API server that lists `rules`, and allows besides what is in `allowed`."""

    def __init__(self, rules: list[dict[str, Any]], allowed: set[tuple[str, str, str]] | None = None) -> None:
        self._rules = rules
        self._allowed = allowed or set()
        self.asked: list[str] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(path.rsplit("/", 1)[-1])
        if self.asked[-1] == "selfsubjectrulesreviews":
            return {"status": {"resourceRules": self._rules, "incomplete": True}}
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (asked["verb"], asked["resource"], asked["subresource"]) in self._allowed}}


class Silent(Reviews):
    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotFoundError(404, "NotFound", "the server could not find the requested resource")


async def checked(server: Reviews) -> None:
    await check_rights(cast(KubeClient, server), "tasks")


@pytest.mark.parametrize("rules", [ALL, [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]])
async def test_nothing_is_missing(rules: list[dict[str, Any]]) -> None:
    server = Reviews(rules)
    await checked(server)
    assert server.asked == ["selfsubjectrulesreviews"]


async def test_what_is_missing_is_named() -> None:
    with pytest.raises(ForbiddenError, match=r"in namespace 'tasks': get pods/log, create configmaps, get configmaps$"):
        await checked(Reviews(ALL[:1]))


async def test_rights_on_named_objects_and_other_groups_do_not_count() -> None:
    named = {**ALL[1], "resourceNames": ["one"]}
    other = {**ALL[1], "apiGroups": ["metrics.k8s.io"]}
    with pytest.raises(ForbiddenError, match="get pods/log"):
        await checked(Reviews([ALL[0], ALL[2], named, other]))


async def test_a_list_that_is_incomplete_is_not_believed() -> None:
    await checked(Reviews([ALL[0], ALL[2]], {("get", "pods", "log")}))


async def test_a_server_that_knows_no_such_question() -> None:
    await checked(Silent([]))
