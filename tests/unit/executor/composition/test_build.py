"""Which root and which settings of stores the executor has, whatever its backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from penstock.settings import rows
from penstock_executor.composition.build import with_root
from penstock_executor.settings import Settings
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig

_BACKENDS = ("local", "container", "kubernetes")


def settings_with(**given: Any) -> Settings:
    return Settings(**{**{name: row.default for name, row in rows(Settings).items()}, **given})


@pytest.mark.parametrize("backend", _BACKENDS)
def test_the_root_of_runs_that_name_none(backend: str, tmp_path: Path) -> None:
    """The option, else the file, else the backend's own; for a namespace of a cluster its ConfigMap comes before."""
    settings = settings_with(backend=backend, data_dir=tmp_path)
    named = settings_with(backend=backend, data_dir=tmp_path, artifacts=f"{tmp_path}/elsewhere/")
    config = StoreConfig(default_root="s3://bucket/runs/")
    assert with_root(named, config).default_root == f"file://{tmp_path}/elsewhere"
    assert with_root(settings, config).default_root == "s3://bucket/runs"
    own = "minio://mlpipeline/v2/artifacts" if backend == "kubernetes" else f"file://{tmp_path}/artifacts"
    assert with_root(settings, StoreConfig()).default_root == own


@pytest.mark.parametrize("backend", _BACKENDS)
def test_settings_of_that_root_hold(backend: str, tmp_path: Path) -> None:
    root = "s3://bucket/runs?endpoint=http://mine:9000"
    for config in (
        with_root(settings_with(backend=backend, data_dir=tmp_path), StoreConfig(default_root=root)),
        with_root(settings_with(backend=backend, data_dir=tmp_path, artifacts=root), StoreConfig()),
    ):
        assert config.settings_for("s3://bucket/runs/x").endpoint == "http://mine:9000"
        assert config.settings_for("s3://bucket/other").endpoint == ""
    with pytest.raises(ArtifactStoreError, match="unknown setting 'profile'"):
        with_root(settings_with(backend=backend, artifacts="s3://bucket?profile=x", data_dir=tmp_path), StoreConfig())
