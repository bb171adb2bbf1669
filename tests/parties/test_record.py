"""The record of a run keeps its schema, reads back as itself, and nothing else passes."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from pehealth import schema
from pehealth.config import Engine, GroupName
from pehealth.errors import ConfigError
from pehealth.nets import record
from pehealth.nets.machine import Machine
from pehealth.nets.record import PlanResult, RunResult

MakeResult = Callable[..., RunResult]


@pytest.fixture
def document(result: RunResult) -> dict[str, Any]:
    return json.loads(json.dumps(result.to_json()))


def test_a_result_survives_json(result: RunResult, document: dict[str, Any]) -> None:
    assert RunResult.from_json(document) == result


@pytest.mark.parametrize("engine", list(Engine))
def test_every_engine_has_a_valid_result(make_result: MakeResult, engine: Engine) -> None:
    group = GroupName.MODP3072 if engine in (Engine.PAPER, Engine.DDH) else None
    record.validate(make_result(engine, group).to_json())


def test_the_document_has_the_fields_of_the_design_in_their_order(document: dict[str, Any]) -> None:
    names = "schema version command machine net engine parameters security samples scale accuracy phases layers"
    assert list(document) == [*names.split(), "planned", "error_bound", "near_ties"]
    assert list(document["machine"]) == ["cpu", "cores", "python", "numpy", "gmpy2", "trio"]
    assert list(document["phases"]) == ["setup", "offline", "online"]
    assert set(document["planned"]["layers"][0]) == set(document["layers"][0]) - {"seconds"}
    assert set(document["planned"]["phases"]["online"]) == set(document["phases"]["online"]) - {"seconds"}


def test_the_schemas_are_schemas() -> None:
    from jsonschema import Draft202012Validator

    for name in (schema.RESULT, schema.PLAN):
        Draft202012Validator.check_schema(schema.load(name))


def every_path(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, child in children for p in every_path(child, (*path, key)))]


def test_no_value_may_be_of_another_type(document: dict[str, Any]) -> None:
    """Every value of the document, replaced by a string in a list, is refused, and its place is named."""
    for path in every_path(document)[1:]:
        damaged = copy.deepcopy(document)
        holder: Any = damaged
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = ["x"]
        with pytest.raises(ConfigError) as refused:
            record.validate(damaged)
        assert str(path[0]) in str(refused.value)


def test_no_field_may_be_missing_or_added(document: dict[str, Any]) -> None:
    open_maps = {"ops", "links"}
    for path in every_path(document):
        holder: Any = document
        for key in path:
            holder = holder[key]
        if not isinstance(holder, dict) or (path and path[-1] in open_maps):
            continue
        for name in list(holder):
            kept = holder.pop(name)
            assert schema.problems(document, schema.RESULT), (path, name)
            holder[name] = kept
        holder["surprise"] = 1
        assert schema.problems(document, schema.RESULT), path
        del holder["surprise"]


@pytest.mark.parametrize(
    ("bits", "insecure", "valid"),
    [(16, True, True), (16, False, False), (90, True, True), (112, False, True), (128, True, False), (64, True, False)],
)
def test_a_document_cannot_call_a_weak_group_secure(
    document: dict[str, Any], bits: int, insecure: bool, valid: bool
) -> None:
    document["security"] |= {"bits": bits, "insecure": insecure}
    assert (not schema.problems(document, schema.RESULT)) is valid


def test_toy32_is_recorded_as_insecure(make_result: MakeResult) -> None:
    weak = make_result(Engine.PAPER, GroupName.TOY32)
    assert (weak.security.bits, weak.security.insecure) == (16, True)
    record.validate(weak.to_json())


def test_near_ties_and_indices_must_fit_the_samples(result: RunResult) -> None:
    twice = dataclasses.replace(result, samples=(result.samples[0],) * 2, near_ties=(9,))
    with pytest.raises(ConfigError) as refused:
        record.validate(twice.to_json())
    assert len(refused.value.problems) == 2


def test_a_plan_keeps_its_schema(result: RunResult) -> None:
    plan = PlanResult(
        net="clinic",
        engine=Engine.RLWE,
        parameters=result.parameters,
        security=result.security,
        scale=10_000,
        planned=result.planned,
        error_bound=0.01,
        material={"E1": 10, "E2": 20},
        memory={"E1": 1},
        notes=("an output is one unit off with probability 2^-17",),
    )
    document = json.loads(json.dumps(plan.to_json()))
    assert schema.problems(document, schema.PLAN) == ()
    document["planned"]["layers"][0]["kind"] = "softmax"
    assert "softmax" in " ".join(schema.problems(document, schema.PLAN))


def test_the_machine_names_itself() -> None:
    machine = Machine.here()
    assert machine.cpu
    assert machine.cores >= 1
    assert all(part.count(".") >= 1 for part in (machine.python, machine.numpy, machine.gmpy2, machine.trio))
