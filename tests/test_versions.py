"""Another version of a run: its name, and what it reads."""

from pathlib import Path
from typing import Any

import pytest

from machineray.errors import UsageError
from machineray.runs import Plan, StageRun, settle_run
from machineray.stages import stage_named
from machineray.storage import Store, open_store
from machineray.versions import next_version, pipeline_source, stage_source


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def begin(store: Store, run: str, stage: str, source: str) -> None:
    StageRun(store, run, stage).settle_plan(Plan(stage, {}, {"from": source}, [[1]]))


def test_the_next_version_is_the_first_that_is_free(store: Store) -> None:
    assert next_version(store, "klee") == "klee-v2"
    for run in ("klee", "klee-v2", "klee-v4"):
        begin(store, run, "collect", "examples")
    assert next_version(store, "klee") == "klee-v3"
    assert next_version(store, "k" * 32) == "k" * 27 + "-v2"
    assert next_version(store, "k" * 26 + "-abc") == "k" * 26 + "-v2"


@pytest.mark.parametrize(
    ("stage", "source", "read"),
    [
        ("collect", "s3://art/in", "s3://art/in"),
        ("collect", "/home/ann/in", "/home/ann/in"),  # which a submit then refuses, and says why
        ("curate", "klee/collect", "klee/collect"),
        ("augment", "other/curate", "other/curate"),
        ("finish", "s3://art/photographs", "s3://art/photographs"),
        ("generate", "klee/train", "klee/train"),
        ("generate", "shipped", "klee/train"),  # it was drawn from a file: that is no input
    ],
)
def test_a_new_version_reads_what_the_stage_reads(
    store: Store, stage: str, source: str, read: str
) -> None:
    begin(store, "klee", stage, source)
    assert stage_source(store, "klee", stage_named(stage)) == read


def test_a_stage_that_is_not_planned_would_read_the_one_before(store: Store) -> None:
    assert stage_source(store, "klee", stage_named("train")) == "klee/augment"
    assert stage_source(store, "klee", stage_named("collect")) is None


@pytest.mark.parametrize(
    "begun",
    [
        {"paintings": "s3://art/in", "source": None, "trained": None},
        {"paintings": None, "source": ["met", "smk"], "trained": None},
        {"paintings": None, "source": None, "trained": "klee/train"},
    ],
)
def test_a_pipelines_new_version_begins_where_the_pipeline_began(
    begun: dict[str, Any], store: Store
) -> None:
    settle_run(store, "klee", {"run": "klee", **begun})
    assert pipeline_source(store, "klee") == begun
    with pytest.raises(UsageError, match="other: no pipeline has begun it"):
        pipeline_source(store, "other")
