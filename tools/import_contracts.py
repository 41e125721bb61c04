"""A kind of import contract that import-linter lacks: modules selected by the last part of their name.

Why: its wildcards replace whole names, and a test module is known by the beginning of its own.

Invariants: imports of one module by another are looked at, not what those lead to; what the graph does not hold is not
checked, so every package that may import such modules belongs to `root_packages`.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class NeverImportedContract(Contract):
    """Nobody imports a module whose own name begins with `prefix`."""

    type_name = "never_imported"

    prefix = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        found = sorted(
            (importer, imported)
            for imported in graph.modules
            if imported.rpartition(".")[2].startswith(str(self.prefix))
            for importer in graph.find_modules_that_directly_import(imported)
        )
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}")
