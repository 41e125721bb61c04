"""Makes what tells who calls and decides what they may, from the settings.

Invariant: a setting under which everybody could do everything by mistake is refused at the start, with the option that
is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from penstock_server.access import chain, role_file
from penstock_server.access.attributes import Authorizer
from penstock_server.access.authorization import Authorization
from penstock_server.access.authorizers import CachedAuthorizer, RoleAuthorizer, SubjectAccessReviewAuthorizer
from penstock_server.access.bindings import StoredBindings
from penstock_server.access.chain import UPSTREAM_AUDIENCES, Chain, KubeflowSettings, OidcSettings
from penstock_server.access.cluster import ClusterReviews
from penstock_server.access.log_in import ClientSettings, LogIn
from penstock_server.access.oidc import ClaimSettings
from penstock_server.access.roles import Binding
from penstock_server.access.user_limits import UserBounds, UserLimits
from penstock_server.clusters import known_cluster
from penstock_server.errors import InvalidArgumentError
from penstock_server.gateway.cross_site import is_local
from penstock_server.gateway.login import Login
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.metadata_visibility import MetadataVisibility
from penstock_server.rpc.server import AccessRules, Services
from penstock_server.runtime import SystemClock
from penstock_server.services.ports import Storage
from penstock_server.services.refusals import Refused, refusals
from penstock_server.services.role_bindings import RoleBindingService
from penstock_server.services.sessions import SessionService
from penstock_server.services.tenancy import Tenancy
from penstock_server.settings import DEFAULT_CALLS, DEFAULT_STREAMS, DEFAULT_UPLOAD_BYTES, Settings
from penstock_server.telemetry import Port, Telemetry


@dataclass(frozen=True, slots=True)
class Access:
    """What `build_server` takes, and what has to be closed at the end."""

    rules: AccessRules
    refused: Refused
    chain: Chain
    sessions: SessionService
    reviews: ClusterReviews | None

    def close(self) -> None:
        """Closes connections."""
        self.chain.close()
        if self.reviews is not None:
            self.reviews.close()


def build_access(settings: Settings, storage: Storage, services: Services, telemetry: Telemetry) -> Access:
    """Of the public port. Raises click.UsageError, with the option, for settings that cannot be used."""
    sessions = SessionService(storage, SystemClock(), settings.session_hours)
    try:
        in_file = role_file.watch(settings.role_file).current if settings.role_file is not None else None
        built = chain.build(
            settings.auth or ("none",),
            _kubeflow(settings),
            OidcSettings(
                settings.oidc_issuer, settings.oidc_client_id, settings.oidc_audiences or (), _claims(settings)
            ),
            chain.Parts(services.tokens, sessions, lambda: known_cluster(settings)),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except InvalidArgumentError as error:
        raise click.UsageError(f"--{error}") from error
    _refuse_open_ports(settings, built.authentication.asks)
    authorization, visibility, reviews = None, None, None
    if built.authentication.asks:
        authorizer, reviews = _authorizer(settings, services.role_bindings, in_file)
        tenancy = Tenancy(settings.multi_user, settings.require_namespace_for_pipelines)
        authorization = Authorization(authorizer, services.namespaces, tenancy, settings.namespace)
        visibility = MetadataVisibility(authorization, services.namespaces)
    elif settings.multi_user:
        raise click.UsageError("--multi-user: namespaces can be kept apart only where callers say who they are: --auth")
    refused = refusals(services.audit, telemetry, Port.PUBLIC)
    limits = UserLimits(user_bounds(settings, built.authentication.asks), telemetry.limited(Port.PUBLIC))
    control = AccessControl(built.authentication, authorization, refused, limits)
    return Access(AccessRules(control, authorization, visibility, in_file or tuple), refused, built, sessions, reviews)


def user_bounds(settings: Settings, asks: bool) -> UserBounds:
    """What one user may take; `asks`: whether callers are asked who they are.

    Raises click.UsageError for a limit of users where nobody is asked who they are."""
    rows = (
        ("--max-calls-per-user", settings.max_calls_per_user, DEFAULT_CALLS),
        ("--max-upload-bytes-per-user", settings.max_upload_bytes_per_user, DEFAULT_UPLOAD_BYTES),
        ("--max-streams-per-user", settings.max_streams_per_user, DEFAULT_STREAMS),
    )
    for option, given, _ in rows:
        if given and not asks:
            raise click.UsageError(f"{option}: users can be told apart only where they say who they are: --auth")
    if not asks:
        return UserBounds()
    return UserBounds(*(default if given is None else given for _, given, default in rows))


def _refuse_open_ports(settings: Settings, asks: bool) -> None:
    """Raises click.UsageError when other machines reach a port on which nobody is asked who they are."""
    for option, address in (("--http", settings.http), ("--grpc", settings.grpc)):
        if not asks and not settings.insecure and not is_local(address.host):
            raise click.UsageError(
                f"{option}: other machines reach {address}, and whoever calls it may run commands here; choose how "
                "callers prove who they are with --auth, or insist with --insecure"
            )


def build_login(settings: Settings, access: Access, key: str = "") -> Login | None:
    """The web UI's log-in; None where there is none. `key` is a secret that the processes of this server share.

    Raises click.UsageError for a secret that cannot be read.
    """
    issuer, file = access.chain.issuer, settings.oidc_client_secret_file
    if issuer is None or not settings.oidc_client_id:
        return None
    try:
        secret = file.read_text("utf-8").strip() if file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--oidc-client-secret-file: {error}") from error
    client = ClientSettings(settings.oidc_client_id, secret, settings.oidc_scopes, _claims(settings))
    login = LogIn(issuer, client, key)
    return Login(
        login, access.sessions, access.chain.authentication, settings.oidc_redirect_url, refused=access.refused
    )


def _kubeflow(settings: Settings) -> KubeflowSettings:
    return KubeflowSettings(
        settings.trusted_proxies or (),
        settings.user_header,
        settings.user_prefix,
        settings.groups_header,
        settings.token_audiences or UPSTREAM_AUDIENCES,
    )


def _claims(settings: Settings) -> ClaimSettings:
    return ClaimSettings(
        settings.oidc_user_claim,
        settings.oidc_groups_claim,
        settings.oidc_prefix,
        settings.oidc_allow_unverified_email,
    )


def _authorizer(
    settings: Settings, bindings: RoleBindingService, in_file: Callable[[], Sequence[Binding]] | None
) -> tuple[Authorizer, ClusterReviews | None]:
    if settings.authorization == "kubernetes":
        cluster = known_cluster(settings)
        if cluster is None:
            raise click.UsageError("--authorization kubernetes: there is no cluster to ask: --kubeconfig")
        reviews = ClusterReviews(cluster)
        return CachedAuthorizer(SubjectAccessReviewAuthorizer(reviews)), reviews
    stored = StoredBindings(bindings.all)
    sources = (stored.bindings,) if in_file is None else (in_file, stored.bindings)
    return CachedAuthorizer(RoleAuthorizer(*sources), by_name=False), None
