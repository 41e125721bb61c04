"""The methods of AccessService for role bindings and the audit log: converts, calls the use cases, converts back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1 import access_pb2 as pb

from penstock_server.access.roles import Binding
from penstock_server.domain.audit import AuditEvent, AuditQuery
from penstock_server.domain.role_binding import RoleBinding
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import millis, timestamp
from penstock_server.services.audit import AuditService
from penstock_server.services.role_bindings import RoleBindingService

_PAGE = 100


class PolicyMethods:
    """`file_bindings` are those of the role file, which only the file changes."""

    def __init__(
        self,
        bindings: RoleBindingService,
        audit: AuditService,
        file_bindings: Callable[[], Sequence[Binding]] = tuple,
    ) -> None:
        self._bindings = bindings
        self._audit = audit
        self._file_bindings = file_bindings

    def CreateRoleBinding(self, request: pb.CreateRoleBindingRequest, context: grpc.ServicerContext) -> pb.RoleBinding:
        wanted = request.role_binding
        return _binding(self._bindings.create(wanted.role, wanted.namespace, wanted.user, wanted.group))

    def ListRoleBindings(
        self, request: pb.ListRoleBindingsRequest, context: grpc.ServicerContext
    ) -> pb.ListRoleBindingsResponse:
        every = [
            *(
                pb.RoleBinding(
                    role=one.role.value, namespace=one.namespace, user=one.user, group=one.group, from_file=True
                )
                for one in self._file_bindings()
            ),
            *map(_binding, self._bindings.all()),
        ]
        found = [one for one in every if request.namespace in ("", one.namespace)]
        first, size = _position(request.page_token), _size(request.page_size)
        reply = pb.ListRoleBindingsResponse(role_bindings=found[first : first + size])
        if first + size < len(found):
            reply.next_page_token = str(first + size)
        return reply

    def DeleteRoleBinding(self, request: pb.DeleteRoleBindingRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._bindings.delete(request.role_binding_id)
        return empty_pb2.Empty()

    def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: grpc.ServicerContext
    ) -> pb.ListAuditEventsResponse:
        query = AuditQuery(
            namespace=request.namespace,
            user=request.user,
            resource=request.resource,
            verb=request.verb,
            object_id=request.object_id,
            result=request.result,
            since=millis(getattr(request, "from"), "from"),
            until=millis(request.until, "until"),
            before=_position(request.page_token),
        )
        size = _size(request.page_size)
        found = self._audit.list(query, size)
        reply = pb.ListAuditEventsResponse(audit_events=map(_event, found))
        if len(found) == size:
            reply.next_page_token = str(found[-1].event_id)
        return reply


def _size(requested: int) -> int:
    """The size of a page; more than there may be is cut."""
    if requested < 0:
        raise InvalidArgumentError("it must not be negative", "page_size")
    return min(requested or _PAGE, 1000)


def _position(token: str) -> int:
    """Raises InvalidArgumentError for a token that this server did not give."""
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise InvalidArgumentError("it is no token of this list", "page_token")
    return int(token)


def _binding(binding: RoleBinding) -> pb.RoleBinding:
    return pb.RoleBinding(
        role_binding_id=binding.role_binding_id,
        role=binding.role.value,
        namespace=binding.namespace,
        user=binding.user,
        group=binding.group,
        created_at=timestamp(binding.created_at),
    )


def _event(event: AuditEvent) -> pb.AuditEvent:
    message = pb.AuditEvent(
        audit_event_id=str(event.event_id),
        user=event.user,
        groups=event.groups,
        source=event.source,
        address=event.address,
        verb=event.verb,
        resource=event.resource,
        namespace=event.namespace,
        object_id=event.object_id,
        object_name=event.object_name,
        result=event.result,
        reason=event.reason,
        request_id=event.request_id,
        method=event.method,
    )
    message.at.FromMilliseconds(event.at)
    return message
