"""What README says is so: its program, its files and commands, its tables."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bridge.daemon.check.asterisk import NEEDED
from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import CALLEE, CALLER, participant
from bridge.model.states import CallState
from bridge.runtime.release import CONTEXT
from bridge.session import Session, inputs, step
from bridge.session.effects import (
    AnswerCaller,
    Converge,
    Dial,
    Effect,
    FinishVoice,
    Refuse,
    TearDown,
    TurnVoice,
)
from bridge.session.inputs import Command, Input, Token
from tests.support.command_line import options

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

TOKEN = Token(1)
THIRD = participant("party_1003")
COMMANDS: dict[str, tuple[Command, ...]] = {
    "`answer()`": (inputs.Answer(TOKEN),),
    "`connect()`": (inputs.Connect(TOKEN, "PJSIP/1002", 60),),
    "`spy()`, `whisper()`, `barge()`": tuple(
        inputs.ChangeMode(TOKEN, mode) for mode in (SPY, whisper(CALLEE), BARGE)
    ),
    "`close()`": (inputs.Close(TOKEN),),
    "`disconnect()`": (inputs.Disconnect(TOKEN),),
    "`add()`": (inputs.AddParty(TOKEN, THIRD, "PJSIP/1003", 30),),
    "`mute()`, `hold()`": (
        inputs.MuteParty(TOKEN, CALLER, on=True),
        inputs.HoldParty(TOKEN, CALLER, on=True),
    ),
}
DONE_IN_A_STATE = {
    "`spy()`, `whisper()`, `barge()`": "→ the mode",
    "`add()`": "one more",
    "`mute()`, `hold()`": "done",
}


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def table(first_cell: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with these words, the head first."""
    lines = README[README.index(f"\n| {first_cell}".rstrip()) + 1 :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def test_the_programs_are_the_examples() -> None:
    programs = [block for block in fenced("python") if block.startswith("# examples/")]
    assert sorted(programs) == [path.read_text(encoding="utf-8") for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_program_has_some_thirty_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 35


def named_paths() -> set[str]:
    folders = "bridge|scripts|tests|docs|examples|docker|asterisk-conf"
    written = set(re.findall(rf"(?<![\w/.-])(?:\./)?((?:{folders})/[\w./-]*\w/?)", README))
    linked = set(re.findall(r"\]\((?!http)([^)#]+)", README))
    return written | linked


def test_files_are_named() -> None:
    assert {"scripts/demo", "scripts/test", "examples/whisper.py", "LICENSE"} <= named_paths()


@pytest.mark.parametrize("path", sorted(named_paths()))
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("script", sorted(p for p in named_paths() if p.startswith("scripts/")))
def test_a_script_that_is_named_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_links_within_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


def test_commands_that_are_named_exist() -> None:
    known = options()
    named = re.findall(r"(?<![\w/'\[])(?:\.venv/bin/)?callbridge asterisk[^`#\n]*", README)
    assert len(named) >= 5
    for text in named:
        words = text.strip(" :),").removeprefix(".venv/bin/").split()
        name = " ".join(words[:3])
        assert name in known, text
        assert {word for word in words[3:] if word.startswith("-")} <= known[name], text


def test_options_of_the_demo_are_all_of_them() -> None:
    listed = {re.sub(r"[`]| .*", "", row[0]) for row in table("Option")[1:]}
    assert listed == options()["callbridge demo"] - {"--help"}


def test_options_of_the_laboratory_that_are_named_exist() -> None:
    assert "--name" in options()["callbridge asterisk up"]


def test_error_codes_are_all_of_them() -> None:
    rows = table("Whose fault")[1:]
    listed = [code for row in rows for code in re.findall(r"`([A-Z_]+)`", row[1])]
    assert sorted(listed) == sorted(ErrorCode)


def test_variables_that_are_named_are_read() -> None:
    places = [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "scripts").glob("*.sh")]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in places)
    named = set(re.findall(r"CALLBRIDGE_[A-Z_]*[A-Z]", README))
    assert len(named) >= 5
    assert {name for name in named if name not in sources} == set()


def test_modules_that_are_named_are_those_of_the_laboratory() -> None:
    section = README[README.index("**Modules.**") : README.index("**extensions.conf.**")]
    named = set(re.findall(r"`((?:res|app|bridge|chan|codec|func)_\w+)`", section))
    ours = (ROOT / "asterisk-conf" / "modules.conf.j2").read_text(encoding="utf-8")
    assert {"chan_websocket", "bridge_holding", "chan_rtp"} <= named
    assert {name for name in named if f"load = {name}.so" not in ours} == set()


def test_modules_that_the_check_demands_are_named() -> None:
    section = README[README.index("**Modules.**") : README.index("**extensions.conf.**")]
    wanted = {name.removesuffix(".so") for name in NEEDED}
    assert {name for name in wanted if f"`{name}`" not in section} == set()


def context(name: str, text: str) -> list[str]:
    """Return the lines of a context of extensions.conf, without comments."""
    section = text.split(f"[{name}]\n")[1].split("\n[", maxsplit=1)[0]
    return [line for line in section.splitlines() if line and not line.startswith(";")]


def test_the_hangup_handlers_are_those_of_the_laboratory() -> None:
    template = (ROOT / "asterisk-conf" / "extensions.conf.j2").read_text(encoding="utf-8")
    (dialplan,) = (block for block in fenced("ini") if f"[{CONTEXT}]" in block)
    handlers = context(CONTEXT, template)
    assert len(handlers) > 10
    assert context(CONTEXT, dialplan) == handlers
    fetching = context("callbridge-fetch", template.replace("{{ application }}", "callbridge"))
    assert context("callbridge-fetch", dialplan) == fetching


def test_the_access_code_is_that_of_the_laboratory() -> None:
    template = (ROOT / "asterisk-conf" / "extensions.conf.j2").read_text(encoding="utf-8")
    code = "exten => _*55!,1,Stasis(callbridge,observe,${EXTEN:3})"
    assert code in template.replace("{{ application }}", "callbridge")
    assert code in README


# --- commands and states ------------------------------------------------------------------------


def succeeds(effect: Effect) -> tuple[Input, ...]:
    """Return what an effect reports when all goes well."""
    match effect:
        case AnswerCaller():
            return (inputs.CallerAnswered(),)
        case Converge():
            return (inputs.AudienceStands(),)
        case Dial(party=party) if party != CALLEE:
            return (inputs.PartyAnswered(party),)
        case Dial():
            return (inputs.CalleeAnswered(),)
        case TurnVoice(token):
            return inputs.VoiceReached(token), inputs.VoiceSettled(token)
        case FinishVoice():
            return (inputs.VoiceFinished(),)
        case TearDown():
            return (inputs.TornDown(),)
        case _:
            return ()


def carried_out(session: Session, command: Command) -> tuple[Session, Refuse | None]:
    """Return what becomes of a session, and the refusal if there is one."""
    due: list[Input] = [command]
    while due:
        session, effects = step(session, due.pop(0))
        for effect in effects:
            if isinstance(effect, Refuse):
                return session, effect
            due += succeeds(effect)
    return session, None


def session_in(state: CallState) -> Session:
    ways: dict[CallState, list[Command]] = {
        CallState.PENDING: [],
        CallState.ANSWERED: [inputs.Answer(TOKEN)],
        CallState.CONNECTED: [inputs.Connect(TOKEN, "PJSIP/1002", 60)],
        CallState.DISCONNECTED: [inputs.Disconnect(TOKEN)],
    }
    session = Session()
    for command in ways[state]:
        session, _ = carried_out(session, command)
    assert session.state is state
    return session


def in_words(session: Session, command: Command, done: str) -> str:
    after, refusal = carried_out(session, command)
    if refusal is not None:
        assert after == session
        return f"`{refusal.code}`"
    if after.state is not session.state:
        return f"→ {after.state}"
    return "nothing to do" if after.state is CallState.DISCONNECTED else done


def test_the_table_of_commands_is_what_the_machine_does() -> None:
    head, *rows = table("| PENDING")
    states = [CallState(name) for name in head[1:]]
    assert set(states) == set(CallState)
    written = {row[0]: row[1:] for row in rows}
    assert set(COMMANDS) <= set(written)
    for name, commands in COMMANDS.items():
        for state, cell in zip(states, written[name], strict=True):
            for command in commands:
                session, done = session_in(state), DONE_IN_A_STATE.get(name, "")
                assert in_words(session, command, done) == cell, (name, state, command)
