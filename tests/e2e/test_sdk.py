"""The unmodified kfp SDK: each method of kfp.Client that the first run needs."""

from __future__ import annotations

import runpy
import sys
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import http
from tools.embedded import Embedded
from tools.testing import specs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kfp


PIPELINE = str(specs.COMPILED / "artifact_passing.yaml")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def sdk(up: Embedded) -> kfp.Client:
    return kfp.Client(host=up.http)


@pytest.fixture(scope="module")
def experiment(sdk: kfp.Client) -> Any:
    return sdk.create_experiment(fresh("sdk"))


@pytest.fixture
def stuck(sdk: kfp.Client, experiment: Any, tmp_path: Path) -> Iterator[str]:
    """A run whose only task never ends."""
    import yaml

    file = tmp_path / "stuck.yaml"
    file.write_text(yaml.safe_dump(specs.container(["sleep", "3600"], name="stuck")))
    run_id = sdk.create_run_from_pipeline_package(str(file), experiment_id=experiment.experiment_id).run_id
    yield run_id
    if sdk.get_run(run_id).finished_at.year == 1970:
        sdk.terminate_run(run_id)


def failed_run(sdk: kfp.Client, experiment: Any) -> str:
    file = str(specs.COMPILED / "siblings_go_on.yaml")
    run_id = str(sdk.create_run_from_pipeline_package(file, experiment_id=experiment.experiment_id).run_id)
    assert sdk.wait_for_run_completion(run_id, timeout=120, sleep_duration=0.2).state == "FAILED"
    return run_id


def test_create_experiment_is_get_or_create(sdk: kfp.Client) -> None:
    name = fresh("experiment")
    made = sdk.create_experiment(name, description="of a test")
    assert sdk.create_experiment(name).experiment_id == made.experiment_id
    assert sdk.get_experiment(experiment_name=name).description == "of a test"


def test_upload_pipeline(sdk: kfp.Client) -> None:
    name = fresh("pipeline")
    made = sdk.upload_pipeline(PIPELINE, pipeline_name=name, description="uploaded")
    assert sdk.get_pipeline(made.pipeline_id).display_name == name
    assert sdk.get_pipeline_id(name) == made.pipeline_id


def test_upload_pipeline_version(sdk: kfp.Client) -> None:
    pipeline = sdk.upload_pipeline(PIPELINE, pipeline_name=fresh("versions"))
    version = sdk.upload_pipeline_version(PIPELINE, "second", pipeline_id=pipeline.pipeline_id)
    listed = sdk.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    assert {one.display_name for one in listed} >= {"second"}
    assert len(listed) == 2
    found = sdk.get_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
    assert found.pipeline_spec["pipelineInfo"]["name"] == "artifact-passing"


def test_create_run_from_pipeline_func(sdk: kfp.Client, experiment: Any) -> None:
    sys.path.insert(0, str(specs.COMPILED.parent))
    try:
        import language
    finally:
        sys.path.pop(0)
    made = sdk.create_run_from_pipeline_func(
        language.artifact_passing, arguments={"content": "by function"}, experiment_id=experiment.experiment_id
    )
    finished = made.wait_for_run_completion(timeout=120)
    assert finished.state == "SUCCEEDED"


def test_create_run_from_pipeline_package(sdk: kfp.Client, experiment: Any) -> None:
    made = sdk.create_run_from_pipeline_package(
        PIPELINE, arguments={"content": "by package"}, experiment_id=experiment.experiment_id
    )
    finished = sdk.wait_for_run_completion(made.run_id, timeout=120, sleep_duration=0.2)
    assert finished.state == "SUCCEEDED"
    assert finished.experiment_id == experiment.experiment_id


def test_run_pipeline_by_id(sdk: kfp.Client, experiment: Any) -> None:
    pipeline = sdk.upload_pipeline(PIPELINE, pipeline_name=fresh("run-by-id"))
    version = sdk.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions[0]
    made = sdk.run_pipeline(
        experiment.experiment_id,
        fresh("job"),
        params={"content": "x"},
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    finished = sdk.wait_for_run_completion(made.run_id, timeout=120, sleep_duration=0.2)
    assert finished.state == "SUCCEEDED"
    assert finished.runtime_config.parameters == {"content": "x"}


def test_get_and_list(sdk: kfp.Client, experiment: Any) -> None:
    made = sdk.create_run_from_pipeline_package(PIPELINE, experiment_id=experiment.experiment_id)
    assert sdk.get_run(made.run_id).run_id == made.run_id
    listed: list[str] = []
    token = ""
    while True:
        page = sdk.list_runs(
            experiment_id=experiment.experiment_id, page_size=2, page_token=token, sort_by="created_at desc"
        )
        listed += [one.run_id for one in page.runs or []]
        token = page.next_page_token
        if not token:
            break
    assert listed.count(made.run_id) == 1
    assert len(listed) == len(set(listed))
    assert any(one.experiment_id == experiment.experiment_id for one in sdk.list_experiments(page_size=100).experiments)
    assert sdk.list_pipelines(page_size=100).total_size >= 0
    sdk.wait_for_run_completion(made.run_id, timeout=120, sleep_duration=0.2)


def test_wait_for_run_completion_times_out(sdk: kfp.Client, stuck: str) -> None:
    with pytest.raises(TimeoutError):
        sdk.wait_for_run_completion(stuck, timeout=1, sleep_duration=0.2)


def test_archive_and_unarchive(sdk: kfp.Client) -> None:
    experiment = sdk.create_experiment(fresh("archive"))
    run_id = sdk.create_run_from_pipeline_package(PIPELINE, experiment_id=experiment.experiment_id).run_id
    sdk.wait_for_run_completion(run_id, timeout=120, sleep_duration=0.2)
    sdk.archive_run(run_id)
    assert sdk.get_run(run_id).storage_state == "ARCHIVED"
    sdk.unarchive_run(run_id)
    assert sdk.get_run(run_id).storage_state == "AVAILABLE"
    sdk.archive_experiment(experiment.experiment_id)
    assert sdk.get_experiment(experiment.experiment_id).storage_state == "ARCHIVED"
    sdk.unarchive_experiment(experiment.experiment_id)
    assert sdk.get_experiment(experiment.experiment_id).storage_state == "AVAILABLE"


def test_terminate(sdk: kfp.Client, stuck: str) -> None:
    sdk.terminate_run(stuck)
    finished = sdk.wait_for_run_completion(stuck, timeout=60, sleep_duration=0.2)
    assert finished.state == "FAILED"
    assert "terminated" in finished.error.message


def test_retry_run(sdk: kfp.Client, up: Embedded, experiment: Any, tmp_path: Path) -> None:
    """kfp.Client has no method of its own for it: the generated API under it has, and so has REST."""
    import yaml

    gate = tmp_path / "gate"
    file = tmp_path / "retry.yaml"
    counted = tmp_path / "first-runs"
    commands = {"first": ["sh", "-c", f"echo >> {counted}"], "second": ["test", "-e", str(gate)]}
    file.write_text(yaml.safe_dump(specs.chain(commands)))
    run_id = sdk.create_run_from_pipeline_package(str(file), experiment_id=experiment.experiment_id).run_id
    assert sdk.wait_for_run_completion(run_id, timeout=60, sleep_duration=0.2).state == "FAILED"
    gate.touch()
    assert http.call("POST", f"{up.http}/apis/v2beta1/runs/{run_id}:retry", {}).status == 200
    assert sdk.wait_for_run_completion(run_id, timeout=60, sleep_duration=0.2).state == "SUCCEEDED"
    assert counted.read_text() == "\n", "what had succeeded ran again"


def test_delete(sdk: kfp.Client, up: Embedded) -> None:
    experiment = sdk.create_experiment(fresh("delete"))
    pipeline = sdk.upload_pipeline(PIPELINE, pipeline_name=fresh("delete"))
    version = sdk.upload_pipeline_version(PIPELINE, "gone soon", pipeline_id=pipeline.pipeline_id)
    run_id = sdk.create_run_from_pipeline_package(PIPELINE, experiment_id=experiment.experiment_id).run_id
    sdk.wait_for_run_completion(run_id, timeout=120, sleep_duration=0.2)
    sdk.delete_run(run_id)
    assert http.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}").status == 404
    sdk.delete_pipeline_version(pipeline.pipeline_id, version.pipeline_version_id)
    for one in sdk.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions:
        sdk.delete_pipeline_version(pipeline.pipeline_id, one.pipeline_version_id)
    sdk.delete_pipeline(pipeline.pipeline_id)
    assert http.call("GET", f"{up.http}/apis/v2beta1/pipelines/{pipeline.pipeline_id}").status == 404
    sdk.delete_experiment(experiment.experiment_id)
    assert http.call("GET", f"{up.http}/apis/v2beta1/experiments/{experiment.experiment_id}").status == 404


def test_a_failed_run_says_why(sdk: kfp.Client, experiment: Any) -> None:
    found = sdk.get_run(failed_run(sdk, experiment))
    assert "on purpose" in found.error.message
    details = {one.display_name: one for one in found.run_details.task_details}
    assert details["fail"].state == "FAILED"


def test_healthz(sdk: kfp.Client) -> None:
    assert sdk.get_kfp_healthz().multi_user is False


def test_pipelines_from_functions(sdk: kfp.Client) -> None:
    # Components look at their annotations, which are texts in this module.
    language = runpy.run_path(str(specs.COMPILED.parent / "language.py"))
    from_a_function = language["after_only"]
    uploaded = sdk.upload_pipeline_from_pipeline_func(from_a_function, pipeline_name=fresh("function"))
    version = sdk.upload_pipeline_version_from_pipeline_func(
        from_a_function, pipeline_version_name="second", pipeline_id=uploaded.pipeline_id
    )
    assert version.pipeline_id == uploaded.pipeline_id
    assert sdk.list_pipeline_versions(uploaded.pipeline_id).total_size == 2


def test_jobs_are_recurring_runs(sdk: kfp.Client, experiment: Any) -> None:
    created = sdk.create_recurring_run(
        experiment_id=experiment.experiment_id, job_name=fresh("job"), cron_expression="0 0 0 1 1 *",
        pipeline_package_path=PIPELINE,
    )  # fmt: skip
    sdk.disable_job(created.recurring_run_id)
    assert sdk.get_recurring_run(created.recurring_run_id).status == "DISABLED"
    sdk.enable_job(created.recurring_run_id)
    assert sdk.get_recurring_run(created.recurring_run_id).status == "ENABLED"
    sdk.disable_recurring_run(created.recurring_run_id)
    assert sdk.get_recurring_run(created.recurring_run_id).mode == "DISABLE"
    sdk.delete_job(created.recurring_run_id)
    listed = sdk.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs or []
    assert created.recurring_run_id not in [one.recurring_run_id for one in listed]


def test_the_namespace_of_the_user_is_the_clients_own(
    sdk: kfp.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(type(sdk), "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setattr(sdk, "_context_setting", {"namespace": ""})
    sdk.set_user_namespace("mine")
    assert sdk.get_user_namespace() == "mine"
    assert sdk.list_runs().total_size is not None


def test_every_method_of_the_client_is_in_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    methods = [name for name in dir(kfp.Client) if not name.startswith("_") and callable(getattr(kfp.Client, name))]
    assert len(methods) >= 39
    assert not [name for name in methods if f".{name}(" not in tests]
