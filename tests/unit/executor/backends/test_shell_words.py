"""Splits words like the machine's own shell, or refuses to split."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from penstock_executor.backends.shell_words import NotPlainError, shell_words

VARIABLES = {"TWO": "x y", "EMPTY": "", "ONE": "q", "EDGES": " a b ", "QUOTES": '"it\'s" $ONE'}
PRINT = "import json, sys; print(json.dumps(sys.argv[1:]))"


@pytest.mark.parametrize(
    "command",
    [
        "a $TWO b",
        'a "$TWO" b',
        "a '$TWO' b",
        "a ${TWO}z ''",
        "a $EMPTY b",
        "a $EMPTY$ONE b",
        'a "$EMPTY" b',
        "a$TWO$ONE 'it'\"s\" b",
        "x${EDGES}y $EDGES",
        "a \\$TWO b\\ c",
        '"\\$TWO\\\\ \\" " b',
        "$QUOTES '$QUOTES' \"$QUOTES\"",
        "--index-url $NOT_SET 'name==1.0; python_version<\"3.9\"'",
        "  padded\t\twords\n  ",
    ],
)
def test_words_are_those_of_the_shell(command: str) -> None:
    said = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c '{PRINT}' {command.strip()}"],
        env=VARIABLES,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell_words(command, VARIABLES) == json.loads(said.stdout)


@pytest.mark.parametrize(
    "command",
    [
        *("a>=1", "a `id`", "a $(id)", "a ${A:-1}", "~/x", "[ab]", "a*", '"a$"', "a $1", '"$(id)"'),
        *("a; b", "a | b", "a & b", "#a", "x{a,b}", "'open", '"open'),
    ],
)
def test_what_means_more_is_refused(command: str) -> None:
    with pytest.raises(NotPlainError):
        shell_words(command, {"A": "1"})
