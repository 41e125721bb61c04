"""What the API server's list of rights says of the rights that every task takes."""

from __future__ import annotations

import asyncio
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


def checked(server: Reviews) -> None:
    asyncio.run(check_rights(cast(KubeClient, server), "tasks"))


@pytest.mark.parametrize("rules", [ALL, [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]])
def test_nothing_is_missing(rules: list[dict[str, Any]]) -> None:
    server = Reviews(rules)
    checked(server)
    assert server.asked == ["selfsubjectrulesreviews"]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ForbiddenError, match=r"in namespace 'tasks': get pods/log, create configmaps, get configmaps$"):
        checked(Reviews(ALL[:1]))


def test_rights_on_named_objects_and_other_groups_do_not_count() -> None:
    named = {**ALL[1], "resourceNames": ["one"]}
    other = {**ALL[1], "apiGroups": ["metrics.k8s.io"]}
    with pytest.raises(ForbiddenError, match="get pods/log"):
        checked(Reviews([ALL[0], ALL[2], named, other]))


def test_a_list_that_is_incomplete_is_not_believed() -> None:
    checked(Reviews([ALL[0], ALL[2]], {("get", "pods", "log")}))


def test_a_server_that_knows_no_such_question() -> None:
    checked(Silent([]))
