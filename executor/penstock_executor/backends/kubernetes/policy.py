"""Reads the ConfigMap `penstock` of a namespace, in which its administrators decide about its Pods.

    security: restricted | image-user
    serviceAccount: name, for runs that name none
    imagePullSecrets: names, separated by commas
    workers, workersDefault, workersMax, workersMin, workersIdleSeconds: about warm workers (see `worker_policy`)
    podTemplate: YAML of {metadata, spec}, merged into every Pod (see `merge`)
    serviceAccounts, secrets, configMaps, claims, deletableClaims, labels, annotations, images, pipelineRoots,
    importUris, volumes, storageClasses, tolerations, nodeLabels, affinityNamespaces: patterns of what tasks may use
    (see `allowed`)

Invariant: an unknown key or value is an error that names it, so that a typing mistake cannot relax or lose a rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml

from penstock_executor.backends.kubernetes.allowed import WORDS
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, Security
from penstock_executor.backends.kubernetes.worker_policy import WORKER_KEYS, parse_worker_policy
from penstock_executor.name_patterns import parse_patterns

_KEYS = ("security", "serviceAccount", "imagePullSecrets", "podTemplate", *WORKER_KEYS, *WORDS)


def parse_policy(data: Mapping[str, str] | None, default_root: str = "") -> NamespacePolicy:
    """The `data` of the ConfigMap; None when there is none. `default_root` is the pipeline root of runs that name none.

    Raises PodSpecError.
    """
    given = dict(data or {})
    for key in given:
        if key not in _KEYS:
            raise _error(f"unknown key {key!r}; known are {', '.join(_KEYS)}")
    security = given.get("security", "restricted").strip()
    if security not in ("restricted", "image-user"):
        raise _error(f"security is {security!r}, but has to be restricted or image-user")
    return NamespacePolicy(
        security=cast(Security, security),
        service_account=given.get("serviceAccount", "").strip(),
        image_pull_secrets=tuple(name.strip() for name in given.get("imagePullSecrets", "").split(",") if name.strip()),
        pod_template=_template(given.get("podTemplate", "")),
        allowed={key: parse_patterns(given[key]) for key in WORDS if key in given},
        default_root=default_root,
        workers=parse_worker_policy(given),
    )


def _template(text: str) -> Mapping[str, Any]:
    try:
        template = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _error(f"podTemplate is no YAML: {error}") from error
    if template is None:
        return {}
    if not isinstance(template, dict):
        raise _error("podTemplate is no object")
    for key, value in template.items():
        if key not in ("metadata", "spec"):
            raise _error(f"podTemplate has an unknown field {key!r}; it has metadata and spec")
        if not isinstance(value, dict):
            raise _error(f"podTemplate.{key} is no object")
    return template


def _error(text: str) -> PodSpecError:
    return PodSpecError(f"ConfigMap 'penstock' of the namespace: {text}")
