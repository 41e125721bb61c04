"""Runs a pipeline with `kfp.local` and prints the CPU and wall seconds it took. A program of its own.

Usage: peer.py chain|fan_out
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from kfp import local  # noqa: E402

if __name__ == "__main__":
    import pipelines

    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
    before, started = os.times(), time.perf_counter()
    getattr(pipelines, sys.argv[1])()
    after, seconds = os.times(), time.perf_counter() - started
    sys.stderr.write(json.dumps({"cpu": sum(after[:4]) - sum(before[:4]), "wall": seconds}) + "\n")
