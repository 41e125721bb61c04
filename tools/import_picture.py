"""Who imports whom inside the packages: a table for the terminal, Mermaid graphs for docs/imports.md.

Why: contracts in pyproject.toml say what may not be; a newcomer wants to see what is. The parts of a package are the
modules and packages directly in it, ordered by its contract of layers where it has one.

Invariants: reads files, imports none of the modules it tells about. An arrow is an import of one part by another; it
points upward when the layers put the imported part above the importing one. Parts in a circle reach each other.

Example: python -m tools.import_picture
Example: PYTHONPATH=OTHER/server:OTHER/executor:OTHER/clients/python python -m tools.import_picture   (another checkout)
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
from importlinter.api import read_configuration

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "imports.md"
_PRODUCTS = (
    "penstock",
    "penstock_api",
    "penstock_server",
    "penstock_executor",
    "penstock_ir",
    "penstock_store",
    "penstock_kube",
)
_INTRODUCTION = """# Who imports whom

Made from the code by `make reference`. An arrow goes from the part that imports to the part that is imported; lower
parts know nothing of higher ones. `make lint` holds the code to it ([architecture.md](architecture.md#layers)), and
`python -m tools.import_picture` counts the imports behind each arrow.
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """`arrows`: (importing part, imported part) to the number of imports between their modules. `upward`: those arrows
    that the layers forbid. `circle`: parts that reach each other, empty when there are none."""

    package: str
    arrows: Counter[tuple[str, str]]
    upward: Sequence[tuple[str, str]]
    circle: Sequence[str]


def layers() -> dict[str, list[list[str]]]:
    """The layers of each package that has a contract of them, from the top; parts of one layer together."""
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    return {
        container: [[part.strip() for part in layer.split("|")] for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def products() -> Picture:
    """Of the distributions' packages among each other."""
    graph = grimp.build_graph(*_PRODUCTS, cache_dir=None)
    arrows = Counter(
        (importer.partition(".")[0], imported.partition(".")[0])
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if importer.partition(".")[0] != imported.partition(".")[0]
    )
    return Picture("the packages", arrows, (), _circle(arrows))


def picture(package: str, order: Sequence[Sequence[str]]) -> Picture:
    """Of the parts of one package; `order` as `layers` gives it."""
    graph = grimp.build_graph(package.partition(".")[0], cache_dir=None)
    arrows: Counter[tuple[str, str]] = Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = _part(importer, package), _part(imported, package)
            if all(ends) and ends[0] != ends[1]:
                arrows[ends] += 1
    depth = {part: number for number, layer in enumerate(order) for part in layer}
    upward = [
        (importer, imported)
        for importer, imported in sorted(arrows)
        if importer in depth and imported in depth and depth[imported] <= depth[importer]
    ]
    return Picture(package, arrows, upward, _circle(arrows))


def page() -> str:
    """The content of docs/imports.md."""
    text = _INTRODUCTION + "\n## The packages\n\n" + _mermaid(products(), [])
    for package, order in layers().items():
        text += f"\n## {package}\n\n{_mermaid(picture(package, order), order)}"
    return text


def _part(module: str, package: str) -> str:
    """The part of the package that a module lies in, empty for the package itself and what lies outside."""
    if not module.startswith(package + "."):
        return ""
    return module[len(package) + 1 :].partition(".")[0]


def _circle(arrows: Counter[tuple[str, str]]) -> Sequence[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for importer, imported in sorted(arrows):
        sorter.add(importer, imported)
    try:
        sorter.prepare()
    except CycleError as error:
        parts: list[str] = error.args[1]
        return parts
    return ()


def _mermaid(shown: Picture, order: Sequence[Sequence[str]]) -> str:
    """The graph without shortcuts: an arrow is left out when a longer path leads from its start to its end."""
    lines = ["```mermaid", "graph TD"]
    listed = [part for layer in order for part in layer]
    lines += [f"    {part}" for part in listed]
    lines += [f"    {importer} --> {imported}" for importer, imported in _reduced(shown.arrows)]
    return "\n".join([*lines, "```\n"])


def _reduced(arrows: Counter[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The arrows whose two ends no longer path joins."""
    below: dict[str, set[str]] = {}
    for importer, imported in arrows:
        below.setdefault(importer, set()).add(imported)

    def reaches(start: str, end: str, seen: set[str]) -> bool:
        for part in below.get(start, ()):
            if part == end:
                return True
            if part not in seen:
                seen.add(part)
                if reaches(part, end, seen):
                    return True
        return False

    for importer, imported in sorted(arrows):
        others = below[importer] - {imported}
        if not any(reaches(other, imported, {other}) for other in others):
            yield importer, imported


def _printed(shown: Picture) -> Iterator[str]:
    yield f"{shown.package}: {sum(shown.arrows.values())} imports between its parts, {len(shown.arrows)} arrows, "
    yield f"{len(shown.upward)} upward, circle: {' -> '.join(shown.circle) or 'none'}\n"
    for (importer, imported), number in sorted(shown.arrows.items()):
        mark = "  UPWARD" if (importer, imported) in shown.upward else ""
        yield f"    {importer} -> {imported}: {number}{mark}\n"


def main() -> None:
    """Prints every picture with its figures."""
    for shown in [products(), *(picture(package, order) for package, order in layers().items())]:
        sys.stdout.write("".join(_printed(shown)))


if __name__ == "__main__":
    main()
