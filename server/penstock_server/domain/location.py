"""Where an object is: its namespace, and the name by which access rules know it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ObjectKind(str, Enum):
    """What can be looked up by its id: an artifact and a Pod by their names."""

    EXPERIMENT = "experiment"
    RUN = "run"
    RECURRING_RUN = "recurring_run"
    PIPELINE = "pipeline"
    PIPELINE_VERSION = "pipeline_version"
    ARTIFACT = "artifact"
    POD = "pod"
    ROLE_BINDING = "role_binding"


@dataclass(frozen=True, slots=True)
class Location:
    """`namespace` is empty for a shared pipeline, and for everything where namespaces are not kept apart.

    `name` is what upstream names in a SubjectAccessReview (api.md §6.1): an experiment's, a pipeline's or a version's
    name, a recurring run's display name, a run's resource name; of an artifact or a Pod, its run's resource name.
    """

    namespace: str
    name: str
