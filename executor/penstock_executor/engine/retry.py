"""When an attempt that failed is made again (executor.md §3.10, §10.29: the SDK's documented intent).

Invariants: the user's budget (`set_retry`, on the task or the nearest enclosing pipeline) and the infrastructure's own
budget are counted apart. What a retry cannot mend (a command that does not exist) is not retried.
"""

from __future__ import annotations

from penstock_ir.event_log import FailureKind

from penstock_executor.engine.state import ContainerNode

_INFRASTRUCTURE_MAX_DELAY_MILLIS = 30_000


def next_delay_millis(node: ContainerNode, failure: FailureKind, infrastructure_retries: int) -> int | None:
    """Counts the failure and gives the delay before the next attempt in milliseconds, or None for no further one."""
    if failure is FailureKind.INFRASTRUCTURE:
        node.infrastructure_failures += 1
        if node.infrastructure_failures > infrastructure_retries:
            return None
        return int(min(1000 * 2 ** (node.infrastructure_failures - 1), _INFRASTRUCTURE_MAX_DELAY_MILLIS))
    policy = node.retry
    if failure is not FailureKind.USER or policy is None:
        return None
    node.user_failures += 1
    if node.user_failures > policy.max_retries:
        return None
    delay = policy.backoff
    # By repeated multiplication with a cap: factor ** 1000 overflows, this ends.
    for _ in range(node.user_failures - 1):
        delay *= policy.factor
        if delay >= policy.max_delay:
            break
    return int(min(delay, policy.max_delay) * 1000)
