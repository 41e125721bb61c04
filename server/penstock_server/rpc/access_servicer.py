"""AccessService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1 import access_pb2 as pb
from penstock_api.v1 import access_pb2_grpc

from penstock_server.access.authorization import Authorization
from penstock_server.access.roles import Binding
from penstock_server.access.rules import CHANGES
from penstock_server.domain.caller import Caller, current_call
from penstock_server.domain.listing import ListRequest
from penstock_server.errors import PermissionDeniedError
from penstock_server.rpc.convert import tokens as convert
from penstock_server.rpc.policy_methods import PolicyMethods
from penstock_server.services.audit import AuditService
from penstock_server.services.role_bindings import RoleBindingService
from penstock_server.services.tokens import TokenService


class AccessServicer(PolicyMethods, access_pb2_grpc.AccessServiceServicer):
    """Without `authorization` there is nobody who may do something with the tokens of others.

    `file_bindings` are those of the role file.
    """

    def __init__(
        self,
        tokens: TokenService,
        bindings: RoleBindingService,
        audit: AuditService,
        authorization: Authorization | None,
        file_bindings: Callable[[], Sequence[Binding]] = tuple,
    ) -> None:
        PolicyMethods.__init__(self, bindings, audit, file_bindings)
        self._tokens = tokens
        self._authorization = authorization
        self._multi_user = authorization is not None and authorization.tenancy.multi_user

    def WhoAmI(self, request: pb.WhoAmIRequest, context: grpc.ServicerContext) -> pb.WhoAmIResponse:
        caller = current_call().caller
        reply = convert.who(caller, multi_user=self._multi_user)
        if request.permissions:
            changes = CHANGES if self._authorization is None else self._authorization.granted(caller, request.namespace)
            reply.permissions.extend(" ".join(change) for change in changes)
        return reply

    def CreateToken(self, request: pb.CreateTokenRequest, context: grpc.ServicerContext) -> pb.CreateTokenResponse:
        token, secret = self._tokens.create(current_call().caller, convert.new_token(request))
        return pb.CreateTokenResponse(token=convert.to_proto(token), secret=secret)

    def ListTokens(self, request: pb.ListTokensRequest, context: grpc.ServicerContext) -> pb.ListTokensResponse:
        caller = current_call().caller
        if request.all_users and not self._administers(caller, "list"):
            text = "only an administrator may list the tokens of all users"
            raise PermissionDeniedError(text, resource="tokens", verb="list")
        wanted = ListRequest(request.page_token, request.page_size)
        page = self._tokens.list(caller, wanted, all_users=request.all_users)
        return pb.ListTokensResponse(tokens=map(convert.to_proto, page.items), next_page_token=page.next_page_token)

    def _administers(self, caller: Caller, verb: str) -> bool:
        """Whether a caller may do so with the tokens of everybody: `list`, `delete`."""
        return self._authorization is not None and self._authorization.administers(caller, "tokens", verb)

    def RevokeToken(self, request: pb.RevokeTokenRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        caller = current_call().caller
        self._tokens.revoke(caller, request.token_id, of_all_users=self._administers(caller, "delete"))
        return empty_pb2.Empty()
