"""Lets SDKs before 2.5 find the path of an artifact that is a file. Runs in the Pythons of tasks.

Why: their `Artifact.path` knows `gs://`, `minio://` and `s3://`, as paths at the root of the file system, and is None
for everything else; as a process a task has its artifacts in plain files, and nobody may make `/s3` on somebody's
machine. In a Pod another URI does (pod_paths.py).

Invariants: a task environment gets a copy of this file and a line that imports it, none of its packages is changed; an
SDK that finds paths by itself is left alone. Imports nothing until an SDK is, because every Python of a task runs it.
Python 3.8 or newer.
"""

import sys

_MODULES = frozenset(["kfp.dsl.types.artifact_types", "kfp.components.types.artifact_types"])


class ArtifactPaths:
    """A finder of modules that teaches one of the SDK's when it is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in _MODULES:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not cls else None
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = _then_teach(spec.loader.exec_module)
                return spec
        return None


def _then_teach(run):
    def run_and_teach(module):
        run(module)
        teach(module)

    return run_and_teach


def teach(module):
    """Makes `Artifact.path` of the SDK's module of artifact types give the URI where that is a path."""
    artifact = getattr(module, "Artifact", None)
    find = getattr(artifact, "_get_path", None)
    if artifact is None or find is None or find(artifact(uri="/path")) is not None:
        return

    def path_of(self):
        path = find(self)
        return self.uri if path is None and self.uri.startswith("/") else path

    artifact._get_path = path_of  # noqa: SLF001 - where every type of artifact of the SDK asks for its path


sys.meta_path.insert(0, ArtifactPaths)
