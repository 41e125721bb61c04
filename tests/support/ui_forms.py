"""Scripts that fill the forms of the web UI as a user does, and look into its tables.

Invariant: a script is false as long as what it is about is not there, so that a test may wait until it is true.
"""

from __future__ import annotations

import json


def filled(label: str, text: str) -> str:
    """A script that puts a text into a field, or chooses an option by its text: in the dialog, where there is one."""
    return (
        f"(() => {{ const name = {json.dumps(label)}, text = {json.dumps(text)};"
        "const root = document.querySelector('[role=dialog]') ?? document;"
        "const labelled = [...root.querySelectorAll('label')].find((one) => one.innerText.startsWith(name));"
        'const at = root.querySelector(`[aria-label="${name}"]`) ?? document.getElementById(labelled?.htmlFor);'
        "if (!at) return false; const option = [...at.options ?? []].find((one) => one.text === text);"
        "const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(at), 'value').set;"
        "set.call(at, option ? option.value : text);"
        "at.dispatchEvent(new Event(at.options ? 'change' : 'input', { bubbles: true })); return true; })()"
    )


def focused(label: str) -> str:
    """A script that goes to a field of the dialog."""
    return (
        f"(() => {{ const labelled = [...document.querySelectorAll('[role=dialog] label')]"
        f".find((one) => one.innerText.startsWith({json.dumps(label)}));"
        "const at = document.getElementById(labelled?.htmlFor); at?.focus(); return Boolean(at); })()"
    )


def row(*texts: str) -> str:
    """A script: whether one row has all of these."""
    return (
        "[...document.querySelectorAll('tbody tr')]"
        f".some((one) => {json.dumps(texts)}.every((text) => one.innerText.includes(text)))"
    )


def pressed_in_row(text: str, name: str) -> str:
    """A script that presses a button of the row with a text."""
    return (
        f"(() => {{ const row = [...document.querySelectorAll('tbody tr')]"
        f".find((one) => one.innerText.includes({json.dumps(text)}));"
        f"const found = [...row?.querySelectorAll('button') ?? []].find((one) => one.innerText === {json.dumps(name)});"
        "found?.click(); return Boolean(found); })()"
    )
