"""Role bindings that are kept in the database: who has which role in which namespace.

Invariants: a binding is for one user or one group; no two say the same; every change is in the audit log.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from penstock_server.domain import limits
from penstock_server.domain.caller import Role
from penstock_server.domain.role_binding import RoleBinding
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import audit
from penstock_server.services.ports import Clock, Storage, UnitOfWork

_NAME = 255


class RoleBindingService:
    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def create(self, role: str, namespace: str, user: str, group: str) -> RoleBinding:
        """Raises InvalidArgumentError, AlreadyExistsError."""
        names = ", ".join(one.value for one in Role)
        if role not in {one.value for one in Role}:
            raise InvalidArgumentError(f"it must be one of {names}", "role_binding.role")
        limits.check_name(namespace, "role_binding.namespace", limits.NAMESPACE)
        if bool(user) == bool(group):
            raise InvalidArgumentError("give a user or a group, and not both", "role_binding.user")
        limits.check_length(user, "role_binding.user", _NAME)
        limits.check_length(group, "role_binding.group", _NAME)
        now = self._clock.now_millis()
        binding = RoleBinding(str(uuid.uuid4()), Role(role), namespace, user, group, now)
        with self._storage.writing() as uow:
            uow.role_bindings.add(binding)
            _note(uow, now, "create", binding)
        return binding

    def all(self) -> Sequence[RoleBinding]:
        """The oldest first."""
        with self._storage.reading() as uow:
            return uow.role_bindings.all()

    def delete(self, role_binding_id: str) -> None:
        """Raises NotFoundError."""
        with self._storage.writing() as uow:
            binding = uow.role_bindings.get(role_binding_id)
            if binding is None:
                raise NotFoundError("RoleBinding", role_binding_id)
            uow.role_bindings.delete(role_binding_id)
            _note(uow, self._clock.now_millis(), "delete", binding)


def _note(uow: UnitOfWork, at: int, verb: str, binding: RoleBinding) -> None:
    subject = f"user {binding.user}" if binding.user else f"group {binding.group}"
    name = f"{binding.role.value} for {subject}"
    audit.record(uow, at, "rolebindings", verb, binding.role_binding_id, binding.namespace, name)
