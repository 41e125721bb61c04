"""schemathesis against the OpenAPI document: any request gets a reply that the document has, errors with a message.

`REST_FUZZ_SECONDS` sets for how long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.embedded import Embedded

SECONDS = os.environ.get("REST_FUZZ_SECONDS", "")
CHECKS = (
    "nothing_unforeseen", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "nothing_leaks", "errors_have_words",
)  # fmt: skip


def test_any_request(own: Embedded, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{own.http}/openapi.json", "--no-color", "--warnings=off",
        f"--checks={','.join(CHECKS)}", "--request-timeout=30", "--suppress-health-check=all",
        f"--report-dir={tmp_path}", "--output-truncate=true",
        # It says something as long as somebody listens, so reading all of it takes a quarter of an hour.
        "--exclude-path=/apis/penstock/v1/runs:watch",
    ]  # fmt: skip
    if SECONDS:
        command += [f"--max-time={SECONDS}", "--phases=examples,coverage,fuzzing", "--max-examples=1000000"]
        command += ["--continue-on-failure", "--generation-database=none"]
    else:
        # The same requests every time: what is new is for `make fuzz-rest` to find.
        command += ["--phases=fuzzing", "--max-examples=15", "--seed=1", "--generation-deterministic"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.rest_checks"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    assert own.child("penstock_server").is_running()
