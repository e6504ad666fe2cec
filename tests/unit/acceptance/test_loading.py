"""Reading runs: everything that is wrong at once, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.lab.acceptance import MistakesError, Run, load, parse
from bridge.lab.acceptance.doing import known
from bridge.lab.acceptance.runner import MODULES
from bridge.lab.acceptance.stage import needs_callbridge, voices_of
from bridge.lab.acceptance.steps import Hears, Place, Together
from bridge.lab.acceptance.verbs import VERBS
from bridge.lab.hearing import TONES
from bridge.lab.phones import Behaviour, Codec
from bridge.model.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
SCENARIOS = [*sorted((ROOT / "bridge/lab/scenarios").glob("*.yaml")), ROOT / "examples/talk.yaml"]

GOOD = """\
name: two talk
codec: G722
phones:
  anna: 1001
  ben: {extension: 0123, answer: ring, answer_after: 300ms}
steps:
  - place: {from: anna, to: ben}
  - name: both hear each other
    hears: {anna: ben, ben: [anna]}
    within: 500ms
    lasts: 1s
  - together:
      - hang_up: anna
      - - expect: {phone: ben, state: ended}
        - pause: 10ms
"""


def mistakes(text: str, **environment: str) -> list[str]:
    with pytest.raises(MistakesError) as caught:
        parse(text, environment=environment)
    return [f"{one.line}: {one.message}" for one in caught.value.mistakes]


def test_a_run_is_what_is_written() -> None:
    run = parse(GOOD)
    assert (run.name, run.codec) == ("two talk", Codec.G722)
    ben = run.phones["ben"]
    assert (ben.extension, ben.answer, ben.answer_after) == ("0123", Behaviour.RING, 0.3)
    place, hears, together = run.steps
    assert place.do == Place(caller="anna", to="ben")
    assert hears.do == Hears(who={"anna": ("ben",), "ben": ("anna",)})
    assert (hears.within, hears.lasts, hears.line) == (0.5, 1.0, 8)
    assert isinstance(together.do, Together)
    assert [[step.verb for step in branch] for branch in together.do.branches] == [
        ["hang_up"],
        ["expect", "pause"],
    ]
    assert not needs_callbridge(run)


def test_every_mistake_is_told_at_once_with_its_line() -> None:
    text = """\
name: wrong
phones:
  anna: 1001
  Ben: 1002
  carl: {extension: 1003, answr: ring, codec: G729}
steps:
  - place: {from: ana, to: 1002}
  - plaze: anna
  - pick_up: anna
    lasts: 1s
  - hears: {anna: [ben, nobody]}
    within: soon
  - press: {phone: anna}
  - pick_up: carl
    hang_up: carl
  - whisper: {by: coach}
"""
    found = mistakes(text)
    for line, said in (
        (5, "no answr: did you mean answer?"),
        (5, "G729"),
        (8, "no step plaze: did you mean place?"),
        (9, "takes no lasts"),
        (12, "'soon' is no length of time"),
        (13, "press needs keys"),
        (14, "one verb, this one has pick_up, hang_up"),
    ):
        assert any(one.startswith(f"{line}: ") and said in one for one in found), (line, said)
    assert len(found) == 7


def test_who_is_named_has_to_be_there() -> None:
    text = """\
name: wrong
phones: {anna: 1001, ben: 1001, music: 1003}
steps:
  - place: {from: ana, to: 1002}
  - whisper: {by: coach}
  - observe: {call: anna, as: coach}
  - whisper: {by: coach, to: ben}
  - hears: {anna: [coach, dan], dan: []}
  - hang_up: coach
"""
    there = "there are anna, ben, coach, music"
    assert mistakes(text) == [
        "2: ben and anna have one extension, 1001",
        "2: phones: music means something else: name it otherwise",
        "4: place: there is no phone ana: did you mean anna?",
        "5: whisper: there is no agent or observer, so far, coach",
        f"8: hears: there is no phone, agent or observer, so far, dan; {there}",
        f"8: hears: there is no voice dan; {there}",
    ]


def test_the_environment_is_put_in() -> None:
    text = """\
name: mine
server: {sip: "pbx.example:5070", ari: "http://pbx:8088/ari", username: u, password: "${PASS}"}
phones: {anna: {extension: "${EXT:-2001}", password: "${PASS}"}}
steps: [{place: {from: anna, to: "100"}}]
"""
    run = parse(text, environment={"PASS": "s3cret"})
    assert run.server is not None
    assert (run.server.host, run.server.port) == ("pbx.example", "5070")
    assert (run.server.password, run.phones["anna"].extension) == ("s3cret", "2001")
    assert [one.split(": ")[0] for one in mistakes(text)] == ["2", "3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: nothing is written here"),
        ("- place", "1: a run is a mapping"),
        ("name: [", "1: no YAML"),
        ("name: x\n\nphones: \x01", "3: no YAML: special characters"),
        ("name: x\nphones: {}\nsteps: &a [together: *a]\n", "1: nested too deeply"),
        ("[" * 5000, "1: nested too deeply"),
        ("name: x\nphones: {}\n", "1: the run needs steps"),
        (
            "name: x\nphones: {}\nserver: {sip: p, callbridge: u}\nprogram: {music: m}\nsteps: []",
            "4: program: that is for the configuration of the daemon",
        ),
        ("name: x\nphones: {}\nsteps: []\n", "3: steps: a sequence"),
        ("name: x\nsteps: [{pause: 1s}]\n", "1: the run needs phones"),
        ("name: x\nphones: {a: 1}\nserver: {sip: p}\nsteps: [{pause: 1s}]\n", "2: phones: a needs"),
        (
            "name: x\nphones: {}\nserver: {sip: p, ari: h}\nsteps: [{pause: 1s}]\n",
            "3: the run: server: ari needs username and password",
        ),
    ],
)
def test_what_is_no_run_is_told(text: str, said: str) -> None:
    found = mistakes(text)
    assert any(one.startswith(said) for one in found), found


HEAD = "name: x\nphones: {anna: 1001, ben: 1002}\nsteps:\n  - "


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("expect: {phone: [], state: talking}", "expect: phone names nobody"),
        ("pick_up: []", "pick_up: phone names nobody"),
        ("hang_up: []", "hang_up: who names nobody"),
        ("hears: {}", "hears: listeners names nobody"),
        ("transfer: {by: anna, to: []}", "transfer: to names nobody"),
        ("hears: {anna: []}\n    lasts: 50ms", "hears: nothing can be measured in 50 ms"),
        ("no_tone: {at: anna, hz: 440}\n    lasts: 50ms", "no_tone: nothing can be measured"),
        ("silence: anna\n    lasts: 1ms", "silence: nothing can be measured in 1 ms"),
        ("pick_up: ben\n    within: 1s\n    within: 2s", "within is there twice"),
        ("together: [{pick_up: ben}]\n    within: 1s", "together takes no within"),
        ("event: CALL_ENDDED", "event: there is no event CALL_ENDDED: did you mean"),
        ("no_event: NOTHING", "no_event: there is no event NOTHING"),
        ("answer: {call: anna, as: ben}", "answer: as: ben is a phone"),
        ("answer: {call: anna, as: music}", "answer: as: music means something else"),
        ("observe: {call: anna, as: The Boss}", "observe: as: 'The Boss' is no participant name"),
        ("transfer: {by: anna, to: ben, accept: key}", "transfer: anna is a phone"),
        ("transfer: {by: anna, to: [ben, ben]}", "transfer: anna is a phone"),
    ],
)
def test_what_could_not_fail_or_not_be_done_is_told(step: str, said: str) -> None:
    found = mistakes(f"{HEAD}{step}\n")
    assert [one.split(": ", 1)[1].startswith(said) for one in found] == [True], found


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("phones: {a: {extension: 1, tone: 9000}}", "2: the run: phones: a: tone: 300 to 3400 Hz"),
        (
            "phones: {a: {extension: 1, tone: 973}, b: {extension: 2, tone: 1000}}",
            "2: b and a say tones that are not 150 Hz apart",
        ),
        ("phones: {}\nhearing: {level: 3}", "3: the run: hearing: level: 0 dBFS or less"),
        ("phones: {}\nprogram: {endpoint: 'SIP/{n}'}", "3: the run: program: endpoint: must have"),
        (
            "phones: {}\nleaves_nothing: true\nserver: {sip: p}",
            "3: leaves_nothing: only server.ari can be asked",
        ),
        ("phones: {}\nsteps: [{pause: 1s}]", "4: the run: steps is there twice"),
    ],
)
def test_a_head_that_cannot_be_is_told(head: str, said: str) -> None:
    found = mistakes(f"name: x\n{head}\nsteps: [{{pause: 1s}}]\n")
    assert [one.startswith(said) for one in found] == [True], found


def test_who_observes_on_a_phone_may_have_its_name() -> None:
    run = parse(f"{HEAD}observe: {{call: anna, as: ben, phone: ben}}\n  - leave: ben\n")
    assert voices_of(run).keys() == {"anna", "ben"}


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_more_voices_than_can_be_told_apart_are_too_many() -> None:
    phones = "\n".join(f"  p{n}: {1000 + n}" for n in range(11))
    text = f"name: many\nphones:\n{phones}\nsteps: [{{pause: 1s}}]\n"
    assert mistakes(text) == ["1: 11 voices, of which 10 can be told apart"]


def test_given_tones_leave_less_room() -> None:
    phones = "\n".join(f"  p{n}: {1000 + n}" for n in range(9))
    text = (
        f"name: many\nphones:\n  a: {{extension: 1, tone: 880}}\n{phones}\nsteps: [{{pause: 1s}}]\n"
    )
    assert mistakes(text) == ["1: 10 voices, of which 9 can be told apart"]


def test_everybody_has_a_voice_of_his_own() -> None:
    run = parse(
        "name: x\nphones: {a: {extension: 1, tone: 973}, b: 2}\n"
        "steps: [{answer: a}, {observe: {call: a, as: boss, phone: b}}]\n"
    )
    tones = voices_of(run)
    assert tones == {"a": 973.0, "b": TONES["caller"], "ai": TONES["agent"]}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: str(path.stem))
def test_the_scenarios_are_right(path: Path) -> None:
    run = load(path)
    assert isinstance(run, Run)
    assert run.description


def test_every_verb_is_done_by_something() -> None:
    assert MODULES
    assert set(VERBS.values()) == known()
