"""Errors of calls to the server."""

from __future__ import annotations


class ExecutorError(Exception):
    """Base of the executor's own errors. `transient`: the same call may succeed later."""

    transient = False


class ServerUnavailableError(ExecutorError):
    """The server did not answer in time; the same call may be repeated."""

    transient = True


class ServerRejectedError(ExecutorError):
    """The server refused a call permanently: a defect of the executor, or incompatible versions."""
