"""What programs build on stays, and docs/api.md names all of it."""

import dataclasses
import inspect
from pathlib import Path

from pehealth import api

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_the_names() -> None:
    assert sorted(api.__all__) == ["Centre", "Result", "SyncCentre", "connect", "connect_sync", "run_local"]


def test_the_arguments() -> None:
    assert list(inspect.signature(api.connect).parameters) == ["settings", "model", "retries", "report"]
    assert list(inspect.signature(api.connect_sync).parameters) == ["settings", "model", "retries"]
    assert list(inspect.signature(api.run_local).parameters) == [
        "net", "x", "engine", "digits", "group", "batch", "tls",
    ]  # fmt: skip
    assert list(inspect.signature(api.Centre.stream).parameters)[1:] == [
        "samples", "in_flight", "ordered", "window", "stride",
    ]  # fmt: skip


def test_the_synchronous_face_has_what_the_other_has() -> None:
    public = {name for name in vars(api.Centre) if not name.startswith("_")}
    assert {name for name in vars(api.SyncCentre) if not name.startswith("_")} == public == {
        "card", "infer", "models", "stream",
    }  # fmt: skip


def test_every_attribute_of_a_result_is_in_the_document() -> None:
    names = {field.name for field in dataclasses.fields(api.Result)}
    names |= {name for name, value in vars(api.Result).items() if isinstance(value, property)}
    assert [name for name in sorted(names) if f"`{name}`" not in TEXT] == []
