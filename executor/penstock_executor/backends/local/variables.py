"""The environment variables of a task on this machine.

Invariants: of the executor's own environment a task gets the variables for this machine's network and locale, and those
that `--pass-env` names; no others. The attempt's own (home, temporary files, Python) override these, and what the task
itself sets overrides all.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

_MACHINE = {
    *("PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
}
_FAMILIES = ("LC_", "PIP_")
_PIP_CONFIGURATION = (".config/pip/pip.conf", ".pip/pip.conf")


def machine_variables(environ: Mapping[str, str], own_prefix: str, passed: Collection[str] = ()) -> dict[str, str]:
    """What every task starts from. `own_prefix` is that of the Python that Penstock runs in, `passed` are the names of
    further variables to hand on."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _MACHINE or name in passed or name.startswith(_FAMILIES)
    }
    mine = {str(Path(prefix) / "bin") for prefix in (own_prefix, environ.get("VIRTUAL_ENV", own_prefix))}
    parts = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part and part not in mine]
    kept["PATH"] = os.pathsep.join(parts)
    # A task's home is its own, but where packages come from is the machine's affair.
    if "PIP_CONFIG_FILE" not in kept and (home := environ.get("HOME")):
        found = next((path for path in _PIP_CONFIGURATION if (Path(home) / path).is_file()), None)
        if found is not None:
            kept["PIP_CONFIG_FILE"] = str(Path(home) / found)
    return kept
