"""The generator of the ARI resources, on a description made up for the test."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "generate_ari.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_ari", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def described(generator: ModuleType) -> dict[str, str]:
    things = {
        "apis": [
            {
                "path": "/things/{thingId}/doIt",
                "operations": [
                    {
                        "httpMethod": "POST",
                        "nickname": "doITNow",
                        "responseClass": "List[Thing]",
                        "since": ["22.0.0"],
                        "errorResponses": [{"code": 404, "reason": "prose"}],
                        "parameters": [
                            {"name": "loud", "paramType": "query", "dataType": "boolean"},
                            {"name": "thingId", "paramType": "path", "dataType": "string"},
                            {"name": "from", "paramType": "query", "dataType": "string"},
                            {
                                "name": "side",
                                "paramType": "query",
                                "dataType": "string",
                                "required": True,
                                "allowMultiple": True,
                                "allowableValues": {"valueType": "LIST", "values": ["in", "out"]},
                            },
                            {"name": "variables", "paramType": "body", "dataType": "containers"},
                        ],
                    }
                ],
            }
        ],
        "models": {
            "Thing": {
                "properties": {
                    "id": {"type": "string", "required": True, "description": "prose"},
                    "from": {"type": "List[int]"},
                }
            }
        },
    }
    models: dict[str, dict[str, object]] = {
        "Message": {"subTypes": ["Event"], "properties": {"type": {"type": "string"}}},
        "Event": {"subTypes": ["ThingDone"], "properties": {}},
        "ThingDone": {"properties": {"thing": {"type": "Thing", "required": True}}},
    }
    files: dict[str, str] = generator.render(
        generator.Description(
            "22.1.0", {"events": {"apis": [], "models": models}, "things": things}
        )
    )
    return files


def test_operations(generator: ModuleType) -> None:
    source = described(generator)["resources.py"]
    assert "class Things(Resource):" in source
    assert "async def do_it_now(" in source
    assert "        thing_id: str,\n" in source
    assert 'side: Literal["in", "out"] | Sequence[Literal["in", "out"]],' in source
    assert "        loud: bool | None = None,\n" in source
    assert "        from_: str | None = None,\n" in source
    assert '"from": from_' in source
    assert 'f"things/{segment(thing_id)}/doIt"' in source
    assert 'body=wrapped("variables", variables)' in source
    assert ") -> tuple[models.Thing, ...]:" in source
    # What may be left out comes after what may not.
    assert source.index("side: Literal") < source.index("loud: bool")


def test_models_and_events(generator: ModuleType) -> None:
    files = described(generator)
    assert (
        'class Thing(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):'
        in (files["models.py"])
    )
    assert "    id: str\n    from_: tuple[int, ...] | None = None\n" in files["models.py"]
    assert "class ThingDone(Event, frozen=True, kw_only=True):" in files["events.py"]
    assert "    thing: models.Thing\n" in files["events.py"]


def test_facts_are_taken_and_prose_is_not(generator: ModuleType) -> None:
    files = described(generator)
    assert "Documented refusals: 404." in files["resources.py"]
    assert "Since Asterisk 22.0.0." in files["resources.py"]
    assert "prose" not in "".join(files.values())


def test_the_output_depends_on_the_description_alone(generator: ModuleType) -> None:
    assert described(generator) == described(generator)


def test_check_tells_what_is_stale(
    generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = described(generator)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert generator.compare(files, tmp_path) == 0
    assert capsys.readouterr().out == ""
    (tmp_path / "models.py").write_text("# by hand\n")
    assert generator.compare(files, tmp_path) == 1
    assert "-# by hand" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("snoopChannelWithId", "snoop_channel_with_id"),
        ("sendDTMF", "send_dtmf"),
        ("absorbDTMF", "absorb_dtmf"),
        ("rtpstatistics", "rtpstatistics"),
        ("transfer_progress", "transfer_progress"),
        ("deviceStates", "device_states"),
        ("from", "from_"),
    ],
)
def test_names(generator: ModuleType, name: str, snake: str) -> None:
    assert generator.snake_case(name) == snake
