"""The history of a run."""

from __future__ import annotations

from penstock_server.domain.run import Run, RunState, StateChange, reopened, with_reported_state


def test_times_never_go_back_whatever_the_clocks_say() -> None:
    """The clock of the executor that ended the run is ahead of the server's and of the next executor's."""
    run = Run(
        run_id="run", experiment_id="", display_name="", description="", namespace="", service_account="",
        storage_state="AVAILABLE", state=RunState.PENDING, state_history=(StateChange(RunState.PENDING, 100),),
        created_at=100, scheduled_at=100, spec_hash="",
    )  # fmt: skip
    ended = with_reported_state(with_reported_state(run, RunState.RUNNING, 90), RunState.FAILED, 200, "why")
    assert [change.at for change in ended.state_history] == [100, 100, 200]
    again = with_reported_state(
        with_reported_state(reopened(ended, 150), RunState.RUNNING, 160), RunState.SUCCEEDED, 170
    )
    assert [change.at for change in again.state_history] == [100, 100, 200, 200, 200, 200]
    assert (ended.finished_at, again.finished_at) == (200, 200)
