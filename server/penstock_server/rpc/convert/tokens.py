"""API tokens."""

from __future__ import annotations

from penstock_api.v1 import access_pb2 as pb

from penstock_server.domain.api_token import ApiToken
from penstock_server.domain.caller import Caller
from penstock_server.rpc.convert.common import millis, timestamp
from penstock_server.services.tokens import NewToken


def to_proto(token: ApiToken) -> pb.Token:
    message = pb.Token(
        token_id=token.token_id,
        name=token.name,
        user=token.user,
        role=token.role.value,
        namespaces=token.namespaces,
        created_at=timestamp(token.created_at),
        expires_at=timestamp(token.expires_at),
    )
    if token.last_used_at:
        message.last_used_at.CopyFrom(timestamp(token.last_used_at))
    if token.revoked_at:
        message.revoked_at.CopyFrom(timestamp(token.revoked_at))
    return message


def new_token(request: pb.CreateTokenRequest) -> NewToken:
    expires_at = millis(request.expires_at, "expires_at") if request.HasField("expires_at") else 0
    return NewToken(request.name, expires_at, request.role, tuple(request.namespaces))


def who(caller: Caller, *, multi_user: bool) -> pb.WhoAmIResponse:
    return pb.WhoAmIResponse(
        user=caller.user,
        groups=caller.groups,
        source=caller.source.value,
        multi_user=multi_user,
        token_id=caller.scope.token_id if caller.scope is not None else "",
    )
