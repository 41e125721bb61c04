"""A cluster in virtual time: Pods of workers with real agents and pretended programs, Pods of single attempts, and the
streams to agents, each of which may be late, cut or end.

Invariants: a worker's agent is the one that runs in Pods. What the cluster says of a Pod comes to each executor in
order, and late. A Pod of a single attempt is begun once for its name, while it is there.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from penstock_executor.agent.worker import Worker
from penstock_executor.backends.kubernetes.calls import CreateAbandonedError, PodCalls
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_kube.client import KubeClient
from penstock_kube.errors import UnavailableError
from penstock_kube.reflector import EventKind
from penstock_kube.types import ObjectList

from tools.sim_kube.container_log import ContainerLog
from tools.sim_kube.fake_program import FakeHandOver, FakeProcesses, FakeProgram
from tools.sim_kube.outcome import Outcome

ATTEMPT = "SIM_ATTEMPT"
"""The variable that has the name of an attempt."""
