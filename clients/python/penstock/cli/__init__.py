"""The `penstock` command line: talks gRPC to a server, except for `up`, which starts one."""

from penstock.cli.main import main

__all__ = ["main"]
