"""Rows of `role_bindings`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from penstock_server.domain.caller import Role
from penstock_server.domain.role_binding import RoleBinding
from penstock_server.errors import AlreadyExistsError
from penstock_server.storage.tables import role_bindings as table


class SqlRoleBindingRepository:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, binding: RoleBinding) -> None:
        subject = [binding.role.value, binding.namespace, binding.user, binding.group]
        values = {
            "role_binding_id": binding.role_binding_id,
            "role": binding.role.value,
            "namespace": binding.namespace,
            "user": binding.user,
            "group": binding.group,
            "created_at": binding.created_at,
            "binding_key": hashlib.sha256(json.dumps(subject).encode()).hexdigest(),
        }
        try:
            self._connection.execute(insert(table).values(values))
        except IntegrityError as error:
            raise AlreadyExistsError("role_binding: there is such a binding already") from error

    def get(self, role_binding_id: str) -> RoleBinding | None:
        row = self._connection.execute(select(table).where(table.c.role_binding_id == role_binding_id)).first()
        return _binding(row) if row else None

    def all(self) -> Sequence[RoleBinding]:
        order = (table.c.created_at, table.c.role_binding_id)
        return [_binding(row) for row in self._connection.execute(select(table).order_by(*order))]

    def delete(self, role_binding_id: str) -> bool:
        statement = delete(table).where(table.c.role_binding_id == role_binding_id)
        return self._connection.execute(statement).rowcount > 0


def _binding(row: Row[Any]) -> RoleBinding:
    return RoleBinding(
        role_binding_id=row.role_binding_id,
        role=Role(row.role),
        namespace=row.namespace,
        user=row.user,
        group=row.group,
        created_at=row.created_at,
    )
