"""What can go wrong between an executor and its surroundings."""

from __future__ import annotations


class ExecutorError(Exception):
    """Base of the executor's own errors. `transient`: the same call may succeed later."""

    transient = False


class ServerUnavailableError(ExecutorError):
    """The server did not answer in time; the same call may be made again."""

    transient = True


class ServerRejectedError(ExecutorError):
    """The server refused a call for good: a defect of ours or a version that does not fit."""
