"""Changes of runs, and of pages of runs, to their messages, which are serialized once, however many watches they go
to."""

from __future__ import annotations

from functools import cached_property, lru_cache

from penstock_api.v1 import watch_pb2 as pb

from penstock_server.domain.changes import ListedRun, RunChange, RunsChange
from penstock_server.rpc.convert.insight import add_summary, task_to_proto
from penstock_server.rpc.convert.runs import to_proto, to_proto_without_pipeline


class SharedMessage:
    """A message that is encoded once; stands where grpc or the gateway expects the message itself."""

    def __init__(self, message: pb.RunChange | pb.RunsChange) -> None:
        self.message = message

    @cached_property
    def _encoded(self) -> bytes:
        return self.message.SerializeToString(deterministic=True)

    def SerializeToString(self, *, deterministic: bool = True) -> bytes:
        """Bytes of the message; they are deterministic whatever is asked for."""
        return self._encoded


def change_to_proto(change: RunChange) -> SharedMessage:
    run = to_proto_without_pipeline(change.run)
    tasks = map(task_to_proto, change.tasks)
    message = pb.RunChange(sequence=change.sequence, run=run, tasks=tasks, more=change.more)
    for summary in change.summaries:
        add_summary(message.tasks, summary)
    return SharedMessage(message)


def runs_change_to_proto(change: RunsChange) -> SharedMessage:
    message = pb.RunsChange(
        run_ids=change.run_ids, total_size=change.total_size, next_page_token=change.next_page_token
    )
    for listed in change.runs:
        message.runs.add().ParseFromString(_encoded(listed))
    return SharedMessage(message)


@lru_cache(maxsize=256)
def _encoded(listed: ListedRun) -> bytes:
    """A run that changes is on many pages, and taking its document apart costs more than all else."""
    return to_proto(listed.run).SerializeToString()
