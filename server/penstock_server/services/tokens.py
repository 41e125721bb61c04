"""API tokens: made by their users, listed, revoked, and found by whoever identifies callers.

Invariants: a token allows no more than its user may, and one that was made with another token no more than that, nor
for longer. A user sees and revokes their own; those of others are for administrators, whom the layer above knows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock_server.domain import api_token, limits, listing
from penstock_server.domain.api_token import ApiToken
from penstock_server.domain.caller import Caller, Role
from penstock_server.domain.listing import Key, KeyKind, Listing, ListRequest, Page
from penstock_server.errors import (
    ConcealedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from penstock_server.services import audit
from penstock_server.services.ports import Clock, Storage
from penstock_server.services.remembered import Remembered

log = logging.getLogger(__name__)

LISTING = Listing("tokens", {"created_at": Key("created_at", KeyKind.TIME)})
NAME = 128
MAX_NAMESPACES = 100
MAX_MILLIS = 366 * 24 * 3_600_000
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class NewToken:
    """What is asked for; `expires_at` in milliseconds, 0 when it is not set."""

    name: str
    expires_at: int
    role: str = ""
    namespaces: tuple[str, ...] = ()


class TokenService:
    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._known: Remembered[ApiToken] = Remembered(self._read)
        self._used: dict[str, int] = {}
        self._lock = threading.Lock()

    def create(self, caller: Caller, wanted: NewToken) -> tuple[ApiToken, str]:
        """The token, and the text that proves it, which nobody can ask for again.

        Raises InvalidArgumentError that names the field, PermissionDeniedError for more than the token of the call
        allows, FailedPreconditionError where callers are not asked who they are.
        """
        if not caller.user:
            raise FailedPreconditionError("this server asks nobody who they are, so a token would be nobody's")
        limits.check_name(wanted.name, "name", NAME)
        now = self._clock.now_millis()
        if not wanted.expires_at:
            raise InvalidArgumentError("it is required", "expires_at")
        if not now < wanted.expires_at <= now + MAX_MILLIS:
            raise InvalidArgumentError("it must be in the future, and at most a year from now", "expires_at")
        namespaces = _namespaces(wanted.namespaces)
        role = _role(wanted.role)
        identifier, secret = api_token.generate()
        token = ApiToken(
            identifier,
            wanted.name,
            caller.user,
            caller.groups,
            role,
            namespaces,
            api_token.hash_of(secret),
            created_at=now,
            expires_at=wanted.expires_at,
        )
        with self._storage.writing() as uow:
            if caller.scope is not None:
                _require_within(token, uow.tokens.get(caller.scope.token_id))
            uow.tokens.add(token)
            audit.record(uow, now, "tokens", "create", identifier, name=wanted.name)
        return token, api_token.text_of(identifier, secret)

    def list(self, caller: Caller, request: ListRequest, *, all_users: bool = False) -> Page[ApiToken]:
        """Newest first; `sort_by` and `filter` of the request are not read."""
        query = listing.parse(LISTING, replace(request, sort_by="created_at desc", filter=""))
        with self._storage.reading() as uow:
            return uow.tokens.list(query, None if all_users else caller.user)

    def revoke(self, caller: Caller, token_id: str, *, of_all_users: bool = False) -> ApiToken:
        """The token as it was. Raises NotFoundError, also for another user's unless they may be revoked."""
        now = self._clock.now_millis()
        with self._storage.writing() as uow:
            token = uow.tokens.get(token_id)
            if token is None:
                raise NotFoundError("Token", token_id)
            if token.user != caller.user and not of_all_users:
                raise ConcealedError("Token", token_id, resource="tokens", verb="delete")
            if uow.tokens.revoke(token_id, now):
                audit.record(uow, now, "tokens", "delete", token_id, name=token.name)
        self._known.forget(token_id)
        return token

    def find(self, token_id: str) -> ApiToken | None:
        """As it was seconds ago at most; a token that was revoked here, as it is."""
        return self._known.get(token_id)

    def use(self, token: ApiToken) -> bool:
        """Whether it is neither revoked nor over. If so, keeps when it was used, to the minute.

        A database that takes no writes is no reason to refuse a call.
        """
        now = self._clock.now_millis()
        if token.revoked_at or token.expires_at <= now:
            return False
        minute = now - now % _MINUTE
        if token.last_used_at < minute and self._used.get(token.token_id, 0) < minute:
            self._note_use(token, minute)
        return True

    def _note_use(self, token: ApiToken, minute: int) -> None:
        with self._lock:
            if self._used.get(token.token_id, 0) >= minute:
                return
            # Those of earlier minutes say nothing any more.
            self._used = {key: at for key, at in self._used.items() if at == minute}
            self._used[token.token_id] = minute
        try:
            with self._storage.writing() as uow:
                uow.tokens.note_use(token.token_id, minute)
        except UnavailableError as error:
            log.warning("when the token %s was used is not kept: %s", token.token_id, error)

    def _read(self, token_id: str) -> ApiToken | None:
        with self._storage.reading() as uow:
            return uow.tokens.get(token_id)


def _role(text: str) -> Role:
    try:
        return Role(text or Role.VIEWER)
    except ValueError as error:
        raise InvalidArgumentError(f"it is none of {', '.join(Role)}", "role") from error


def _namespaces(names: Sequence[str]) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(names))
    if len(unique) > MAX_NAMESPACES:
        raise InvalidArgumentError(f"at most {MAX_NAMESPACES} can be named", "namespaces")
    for name in unique:
        limits.check_name(name, "namespaces", limits.NAMESPACE)
    return unique


def _require_within(token: ApiToken, maker: ApiToken | None) -> None:
    """Raises PermissionDeniedError unless `token` allows no more than the token that it is made with."""
    if maker is None:
        raise _too_much("the token of this call is not there any more")
    if not maker.role.includes(token.role):
        raise _too_much(f"a token with the role {maker.role.value} cannot make one with {token.role.value}")
    if maker.namespaces and (not token.namespaces or not set(token.namespaces) <= set(maker.namespaces)):
        raise _too_much("a token cannot make one for other namespaces than its own")
    if token.expires_at > maker.expires_at:
        raise _too_much("a token cannot make one that lasts longer than itself")


def _too_much(reason: str) -> PermissionDeniedError:
    return PermissionDeniedError(reason, resource="tokens", verb="create")
