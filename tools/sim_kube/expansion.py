"""What a kubelet gives the program of a container: `$(NAME)` replaced in command, args and values of variables.

Why written anew, though the executor has its own: tests compare the two. Invariants: as Kubernetes documents it and a
kubelet does it: `$$` is one `$`; a name ends at the next `)`; a reference to what is not known stays as it is; the
value of a variable sees those before it; what a reference brought is not looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Given(NamedTuple):
    """`words` are the container's command and args."""

    words: list[str]
    variables: dict[str, str]

    def of_program(self) -> Given:
        """Of what a wrapper runs: it has its own words before the first `--`."""
        behind = self.words.index("--") + 1 if "--" in self.words else 0
        return Given(self.words[behind:], self.variables)

    def line(self) -> str:
        return json.dumps(self._asdict()) + "\n"


NOTHING = Given([], {})


def given_to(container: Mapping[str, Any], metadata: Mapping[str, Any]) -> Given:
    """`metadata` is the Pod's. Values of Secrets and ConfigMaps are stand-ins, `NAME/KEY`."""
    variables: dict[str, str] = {}
    for entry in container.get("env") or ():
        source = entry.get("valueFrom")
        variables[entry["name"]] = (
            expand(str(entry.get("value") or ""), variables) if source is None else _from(source, metadata)
        )
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return Given([expand(str(word), variables) for word in words], variables)


def expand(text: str, variables: Mapping[str, str]) -> str:
    result: list[str] = []
    position = 0
    while position < len(text):
        two = text[position : position + 2]
        end = text.find(")", position) if two == "$(" else -1
        if two == "$$":
            result.append("$")
            position += 2
        elif end >= 0:
            whole = text[position : end + 1]
            result.append(variables.get(whole[2:-1], whole))
            position = end + 1
        else:
            result.append(text[position])
            position += 1
    return "".join(result)


def _from(source: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    if "fieldRef" in source:
        path = str(source["fieldRef"]["fieldPath"])
        return str(metadata.get(path.removeprefix("metadata."), path))
    (reference,) = source.values()
    return f"{reference.get('name', '')}/{reference.get('key', '')}"
