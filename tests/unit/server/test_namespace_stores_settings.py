"""Settings of --namespace-stores that contradict each other are told at the start."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from penstock.settings import options, rows
from penstock_server import composition
from penstock_server.settings import Settings
from penstock_store.config import StoreConfig


def stores(directory: Path, *arguments: str) -> None:
    command = click.Command("server", params=options(rows(Settings)))
    given = ["--data-dir", str(directory), *arguments]
    settings = Settings(**command.make_context("server", given).params)
    composition._stored_objects(settings, StoreConfig(), {})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--namespace-stores"], "--namespace-stores needs --multi-user"),
        (["--store-endpoint", "https://store.example"], "--namespace-stores alone"),
        (["--namespace-stores", "--multi-user", "--kubeconfig", "/nowhere"], "--namespace-stores: .*/nowhere"),
        (["--namespace-stores", "--store-endpoint", "http://169.254.169.254"], "no store has such an address"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(click.UsageError, match=named):
        stores(tmp_path, *arguments)


def test_it_is_off_unless_it_is_set(tmp_path: Path) -> None:
    stores(tmp_path, "--multi-user")
