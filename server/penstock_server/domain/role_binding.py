"""A role that a user or a group has in a namespace."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_server.domain.caller import Role

ALL_NAMESPACES = "*"


@dataclass(frozen=True, slots=True)
class RoleBinding:
    """Exactly one of `user` and `group` is set. `namespace` may be `*`. `created_at` in milliseconds (UTC)."""

    role_binding_id: str
    role: Role
    namespace: str
    user: str
    group: str
    created_at: int
