"""Refuses platform documents with unknown settings.

Why: the settings of an executor are a free-form object in the IR, so protobuf accepts anything in them. An unknown
setting would be ignored silently, and a task that requests a device would run without it.

Invariant: each unknown setting is one problem, with its path in the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_ir.descriptors import fields_by_json_name, is_repeated, message_class
from penstock_ir.errors import Problem

KUBERNETES_SETTINGS = "kfp_kubernetes.KubernetesExecutorConfig"
_FREE_FORM = "google.protobuf."
_UNKNOWN = (
    "Penstock does not know this setting, so nothing would come of it: remove it, or use a release that knows it "
    "(it may be one of a newer kfp-kubernetes)"
)


_OTHER_PLATFORM = "the only platform whose settings Penstock knows is 'kubernetes': remove these, or mend the name"


def unknown_settings(platform_spec: Mapping[str, Any]) -> list[Problem]:
    """The settings in a PlatformSpec (camelCase or snake_case) that are no fields of its messages."""
    problems = list(_unknown(platform_spec, _descriptor("ml_pipelines.PlatformSpec"), ""))
    platforms = _object(platform_spec, "platforms")
    problems += (Problem(f"platforms.{name}", _OTHER_PLATFORM) for name in platforms if name != "kubernetes")
    kubernetes = _object(platforms, "kubernetes")
    place = "platforms.kubernetes"
    problems += (Problem(f"{place}.config.{key}", _UNKNOWN) for key in _object(kubernetes, "config"))
    name = "deploymentSpec" if "deploymentSpec" in kubernetes else "deployment_spec"
    for label, settings in _object(_object(kubernetes, name), "executors").items():
        problems += _unknown(settings, _descriptor(KUBERNETES_SETTINGS), f"{place}.{name}.executors.{label}.")
    return problems


def _unknown(value: Any, descriptor: Any, prefix: str) -> Iterator[Problem]:
    # A value of the wrong type is reported when the message is parsed.
    if not isinstance(value, Mapping):
        return
    fields = fields_by_json_name(descriptor)
    fields_by_spelling = {**{field.name: field for field in fields.values()}, **fields}
    for key, given in value.items():
        field = fields_by_spelling.get(key)
        if field is None:
            yield Problem(f"{prefix}{key}", _UNKNOWN)
            continue
        kind: Any = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            kind = kind.fields_by_name["value"].message_type
            nested = [(f"{prefix}{key}.{name}.", nested_value) for name, nested_value in _items(given)]
        elif is_repeated(field) and isinstance(given, list):
            nested = [(f"{prefix}{key}[{index}].", nested_value) for index, nested_value in enumerate(given)]
        else:
            nested = [(f"{prefix}{key}.", given)]
        if kind is not None and not kind.full_name.startswith(_FREE_FORM):
            for place, nested_value in nested:
                yield from _unknown(nested_value, kind, place)


def _descriptor(name: str) -> Any:
    return message_class(name).DESCRIPTOR


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    member = value.get(key)
    return member if isinstance(member, Mapping) else {}
