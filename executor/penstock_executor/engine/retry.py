"""When an attempt that failed is made again (executor.md §3.10, §10.29: the SDK's documented intent).

Invariants: the user's budget (`set_retry`, on the task or the nearest enclosing pipeline) and the infrastructure's own
budget are counted apart; what was preempted uses neither. What a retry cannot mend (a command that does not exist) is
not retried.
"""

from __future__ import annotations

import zlib

from penstock_ir.event_log import AttemptEnded, FailureCause, FailureKind

from penstock_executor.engine.state import ContainerNode, RunContext

_INFRASTRUCTURE_MAX_DELAY_MILLIS = 30_000
_PREEMPTED_MAX_DELAY_MILLIS = 120_000


def next_delay_millis(node: ContainerNode, event: AttemptEnded, context: RunContext) -> int | None:
    """Counts the failure and gives the delay before the next attempt in milliseconds, or None for no further one."""
    failure = event.failure
    if event.cause is FailureCause.OUT_OF_MEMORY:
        node.out_of_memory += 1
    if failure is FailureKind.INFRASTRUCTURE and event.cause is FailureCause.PREEMPTED:
        node.preemptions += 1
        return _preempted_delay(node, context)
    if failure is FailureKind.INFRASTRUCTURE:
        node.infrastructure_failures += 1
        if node.infrastructure_failures > _infrastructure_retries(node, context):
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


def _infrastructure_retries(node: ContainerNode, context: RunContext) -> int:
    own = node.task.component.attempts.infrastructure_retries if node.task is not None else None
    return context.infrastructure_retries if own is None else own


def _preempted_delay(node: ContainerNode, context: RunContext) -> int:
    """It doubles, and is spread over its second half: one preemption hits many tasks at the same moment. The spread
    comes from the attempt's name, as decisions know no chance."""
    ceiling = min(1000 << min(node.preemptions - 1, 20), _PREEMPTED_MAX_DELAY_MILLIS)
    drawn = zlib.crc32(f"{context.run_id}/{node.path}#{node.attempt}".encode()) % 1000
    return ceiling // 2 + ceiling // 2 * drawn // 1000
