"""The names of an installation itself, which no task may use whatever a namespace allows.

Why: server, executor and tasks may share a namespace, and a task that mounts the claim of the database, gets the
executor's token or carries the labels by which Services find the server can do all that the installation can.

Invariants: pure; the defaults are the names in deploy/kustomize.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock_ir.attempt_settings import ATTEMPT_ANNOTATIONS

from penstock_executor.name_patterns import matches_any

OWN_SERVICE_ACCOUNTS = ("penstock-executor", "penstock-server")
OWN_SECRETS = ("penstock-*",)
SESSION_SECRETS = "penstock-session-"
"""What names of Secrets with the credentials of attempts begin with."""
OWN_CONFIG_MAPS = ("penstock", "penstock-*")
OWN_CLAIMS = ("penstock-data", "penstock-artifacts")

TOKEN_ANNOTATION = "penstock.dev/service-account-token"  # noqa: S105 - a name
_FREE_ANNOTATIONS = (TOKEN_ANNOTATION, *ATTEMPT_ANNOTATIONS)
_OWN_LABELS = (
    "penstock.*",
    "pipeline/*",
    "pipelines.kubeflow.org/*",
    "app.kubernetes.io/managed-by",
    # Services and NetworkPolicies select the installation's own Pods by it.
    "app.kubernetes.io/part-of",
)
_OWN_ANNOTATIONS = (*_OWN_LABELS, "eks.amazonaws.com/skip-containers")


@dataclass(frozen=True, slots=True)
class OwnNames:
    """Patterns by kind (`name_patterns`)."""

    service_accounts: tuple[str, ...] = OWN_SERVICE_ACCOUNTS
    secrets: tuple[str, ...] = OWN_SECRETS
    config_maps: tuple[str, ...] = OWN_CONFIG_MAPS
    claims: tuple[str, ...] = OWN_CLAIMS

    def holds(self, kind: str, name: str) -> bool:
        """Whether the name is the installation's; `kind` is a key of a namespace's lists (`allowed`)."""
        if kind == "annotations" and name in _FREE_ANNOTATIONS:
            return False
        patterns = {
            "serviceAccounts": self.service_accounts,
            "secrets": self.secrets,
            "configMaps": self.config_maps,
            "claims": self.claims,
            "deletableClaims": self.claims,
            "labels": _OWN_LABELS,
            "annotations": _OWN_ANNOTATIONS,
        }
        return matches_any(patterns.get(kind, ()), name)
