"""The document says what the table says, and nothing that is not so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bridge.api.examples import EXAMPLES
from bridge.api.openapi import encoded_document, openapi_document, problem_codes
from bridge.model.errors import ErrorCode
from bridge.protocol import operations
from bridge.protocol.operations import BASE, OPERATIONS, Operation
from bridge.protocol.problems import STATUS

DOCUMENT = openapi_document()


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def written(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][BASE + operation.path][operation.method.lower()]
    return found


def test_it_is_json_and_the_same_every_time() -> None:
    assert json.loads(encoded_document()) == json.loads(json.dumps(DOCUMENT))
    assert openapi_document() == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    references = [value["$ref"] for value in walk(DOCUMENT) if isinstance(value.get("$ref"), str)]
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_operation_is_there_once() -> None:
    ids = [
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
    ]
    assert sorted(ids) == sorted(operation.operation_id for operation in OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.operation_id)
def test_an_operation_is_whole(operation: Operation) -> None:
    found = written(operation)
    by_place: dict[str, set[str]] = {"path": set(), "query": set(), "header": set()}
    for parameter in found["parameters"]:
        by_place[parameter["in"]].add(parameter["name"])
    assert by_place["path"] == set(operation.parameters)
    query = operation.query.__struct_fields__ if operation.query else ()
    assert by_place["query"] == set(query)
    has_key = operation.method in {"POST", "DELETE"}
    assert by_place["header"] == ({"Idempotency-Key"} if has_key else set())
    assert ("requestBody" in found) == (operation.body is not None)
    assert (found.get("security") == []) == operation.open
    said = {int(status) for status in found["responses"] if int(status) >= 400} - {416}
    assert said == set(problem_codes(operation))


def test_what_is_said_of_a_field_is_written_there() -> None:
    party = DOCUMENT["components"]["schemas"]["PartyView"]
    assert party["description"].startswith("One of those")
    assert "`PJSIP/1002`" in party["properties"]["endpoint"]["description"]


def test_patterns_are_understood_by_who_reads_the_document() -> None:
    patterns = [one["pattern"] for one in walk(DOCUMENT) if isinstance(one.get("pattern"), str)]
    assert len(patterns) > len(OPERATIONS)
    # ECMA 262 knows neither: to its readers they are the letters A and Z.
    assert [one for one in patterns if re.search(r"\\[AZz]", one)] == []


def test_null_is_in_no_query() -> None:
    for path in DOCUMENT["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                assert {"type": "null"} not in [*walk(parameter["schema"])]
                assert parameter["schema"].get("default", 0) is not None


def test_codes_stand_by_their_status() -> None:
    codes = problem_codes(operations.CONNECT)
    assert ErrorCode.CALL_BUSY in codes[409]
    assert codes[413] == codes[415] == [ErrorCode.BAD_ARGUMENT]
    assert ErrorCode.DRAINING in codes[503]
    listing = problem_codes(operations.LIST_CALLS)
    assert 413 not in listing
    assert ErrorCode.DRAINING not in listing[503]
    assert set(problem_codes(operations.SHOW_HEALTH)) == {422}


def test_every_code_that_an_operation_names_has_a_status() -> None:
    for operation in OPERATIONS:
        assert set(operation.errors) <= set(STATUS)


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.body], ids=lambda o: o.operation_id
)
def test_an_example_is_one(operation: Operation) -> None:
    assert operation.body is not None
    example = EXAMPLES[operation.operation_id]
    body = msgspec.json.decode(msgspec.json.encode(example), type=operation.body)
    assert set(example) <= set(body.__struct_fields__)


def test_no_example_of_nothing() -> None:
    assert set(EXAMPLES) == {o.operation_id for o in OPERATIONS if o.body}
