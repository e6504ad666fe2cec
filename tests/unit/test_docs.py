"""What the other documents say is so: links, paths, codes, arguments, generated pages."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

import bridge.public
from bridge import (
    ActiveCall,
    Client,
    EndReason,
    FeatureKeys,
    LeftReason,
    Observer,
    Recording,
    RecordingState,
    Transfer,
    TransferGrant,
    TransferOutcome,
    TransferRequest,
    TransferSource,
    Voicemail,
    VoicemailEnd,
    leave_voicemail,
)
from bridge.model.audibility import Gallery, Observation
from bridge.model.errors import (
    CallbridgeError,
    CallError,
    ErrorCode,
    LabError,
    ServerError,
    UsageError,
)
from bridge.model.keys import KeyAction, KeyMap
from bridge.model.participants import PARTIES, participant
from bridge.runtime.recorder import PROGRAM_LEFT
from bridge.sdk.events import CallEvent, ClientEvent, ObserverEvent
from bridge.topology.objects import leg_key
from bridge.topology.planner import plan
from scripts.diagrams import __main__ as pages
from scripts.diagrams import calls, observers, transfers

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "docker/README.md"])
WORKS = "docs/how-it-works.md"
BY_TASK = [
    f"docs/{page}.md" for page in ("sdk", "transfers", "waiting", "recording", "restart", "remote")
]
"""The pages of the SDK."""
FAMILIES: dict[str, type[CallbridgeError]] = {
    "UsageError": UsageError,
    "CallError": CallError,
    "ServerError": ServerError,
    "LabError": LabError,
}


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8"))
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors_of(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "bridge|scripts|tests|examples|docker|asterisk-conf"
    text = page.read_text(encoding="utf-8")
    named = re.findall(rf"`(?:\./)?((?:{folders})/[\w./-]*\w/?)(?: [^`]*)?`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_decision_is_in_the_list() -> None:
    records = {path.name for path in (ROOT / "docs/adr").glob("0*.md")}
    assert set(re.findall(r"\((0[^)]+\.md)\)", text_of("docs/adr/README.md"))) == records


def test_decisions_that_the_code_names_exist() -> None:
    sources = [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "scripts").iterdir()]
    named = {
        number
        for path in sources
        if path.is_file()
        for number in re.findall(r"docs/adr/(\d{4})", path.read_text(encoding="utf-8"))
    }
    assert named
    for number in named:
        assert list((ROOT / "docs/adr").glob(f"{number}-*.md")), number


def test_every_error_code_is_explained_in_its_family() -> None:
    sections = re.split(r"^##+ ", text_of("docs/troubleshooting.md"), flags=re.MULTILINE)
    explained: dict[str, set[str]] = {}
    for section in sections:
        family = next((name for name in FAMILIES if name in section.splitlines()[0]), None)
        if family:
            explained[family] = set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE))
    assert set().union(*explained.values()) == set(ErrorCode)
    for name, base in FAMILIES.items():
        for kind in base.__subclasses__():
            assert kind.default_code in explained[name], kind


def test_every_argument_of_the_client_is_explained() -> None:
    arguments = set(inspect.signature(Client.__init__).parameters) - {"self"}
    section = text_of("docs/sdk.md").split("## Connect to a server")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == arguments


def cells_of(path: str, head: str) -> list[list[str]]:
    """Return the rows of the first table of a page whose head begins so; its head is left out."""
    text = text_of(path)
    lines = text[text.index(f"\n| {head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_name_that_programs_import_is_in_the_reference() -> None:
    page = text_of("docs/reference/sdk.md")
    names = set(bridge.public.__all__) - {"errors", "events"}
    assert {name for name in names if f"::: bridge.public.{name}\n" not in page} == set()


@pytest.mark.parametrize("head", ["Event | Registered with", "What | When"])
def test_every_event_is_explained(head: str) -> None:
    rows = cells_of("docs/sdk.md", head)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted({*ClientEvent, *CallEvent, *ObserverEvent})


def test_every_reason_is_explained() -> None:
    sdk = text_of("docs/sdk.md")
    assert {reason.name for reason in EndReason if f"`{reason.name}`" not in sdk} == set()
    rows = cells_of("docs/sdk.md", "`LeftReason`")
    assert [row[0].strip("`") for row in rows] == [reason.name for reason in LeftReason]


def test_every_outcome_is_explained() -> None:
    rows = cells_of("docs/transfers.md", "`transfer.outcome`")
    assert [row[0].strip("`") for row in rows] == [outcome.name for outcome in TransferOutcome]
    words = text_of("docs/recording.md")
    for kind in (VoicemailEnd, RecordingState):
        assert [one.name for one in kind if not re.search(rf"[`.]{one.name}`", words)] == []
    ends = {row[0].strip("`") for row in cells_of("docs/recording.md", "`recording.ended_by`")}
    reasons = {LeftReason.CALL_ENDED, LeftReason.SERVER_LOST, PROGRAM_LEFT}
    assert ends == {*reasons, "stopped", "caller_left", "failed"}


def public_names(kind: type) -> list[str]:
    """Return what a program can use of a class, whichever of ours it has it from."""
    ours = [base for base in kind.__mro__ if base.__module__.startswith("bridge.")]
    names = {name for base in ours for name in vars(base) if not name.startswith("_")}
    return sorted(names - RUNTIME_ONLY)


RUNTIME_ONLY = {
    "follow",
    "follow_recording",
    "is_of",
    "listeners",
    "looks_after",
    "observe_limited",
    "originate_labelled",
    "watchers",
}
"""Used by our own modules, not by programs."""


@pytest.mark.parametrize("kind", [Client, ActiveCall, Observer, Transfer, Recording, Voicemail])
def test_everything_that_a_program_can_do_is_explained(kind: type) -> None:
    text = "\n".join(map(text_of, BY_TASK))
    names = public_names(kind)
    assert [name for name in names if not re.search(rf"[`.]{name}\b", text)] == []


@pytest.mark.parametrize(
    ("page", "head", "function"),
    [
        ("docs/transfers.md", "`call.transfer(to", ActiveCall.transfer),
        ("docs/waiting.md", "`call.park(slot", ActiveCall.park),
        ("docs/recording.md", "`call.record(path", ActiveCall.record),
        ("docs/recording.md", "`leave_voicemail(", leave_voicemail),
    ],
    ids=["transfer", "park", "record", "leave_voicemail"],
)
def test_every_argument_of_a_command_is_explained(
    page: str, head: str, function: Callable[..., object]
) -> None:
    rows = cells_of(page, head)
    written = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert written == set(inspect.signature(function).parameters) - {"self", "call", "folder"}
    defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    for row in rows:
        for name in re.findall(r"`(\w+)`", row[0]):
            if isinstance(defaults[name], float) or defaults[name] is False:
                assert str(defaults[name]) == row[1], name


def test_every_word_of_a_request_is_explained() -> None:
    section = text_of("docs/transfers.md").split("## Who may transfer whom")[1].split("\n## ")[0]
    for kind in (TransferRequest, TransferGrant):
        words = [f.name for f in fields(kind)]
        assert [word for word in words if not re.search(rf"\b{word}\b", section)] == []
    assert {source.name for source in TransferSource} <= set(re.findall(r"`([A-Z_]+)`", section))


def test_the_feature_keys_are_those_of_the_default() -> None:
    rows = cells_of("docs/transfers.md", "Keys ")
    first = {row[0].split("`")[1]: row[1] for row in rows}
    keys = FeatureKeys()
    begins = {code: words for code, words in first.items() if words}
    assert set(begins) == set(keys.codes(transferring=False))
    during = {row[0].split("`")[1] for row in rows if row[2]}
    assert during == set(keys.codes(transferring=True))


def test_the_keys_are_those_of_the_default() -> None:
    rows = cells_of("docs/sdk.md", "Key ")
    written = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows}
    settable = written.pop("settable")
    keys = KeyMap().actions
    assert {key: names[0] for key, names in written.items()} == dict(keys)
    assert set(settable) == set(KeyAction) - set(keys.values())


@pytest.mark.parametrize("seated", [False, True])
def test_the_objects_of_an_observer_are_counted(*, seated: bool) -> None:
    topology = plan(Observation(participant("boss"), PARTIES, seated=seated))
    counted = {row[0]: row[2 if seated else 1] for row in cells_of(WORKS, "What stands for an")}
    parties = 2
    assert int(counted["channels"]) == len(topology.channels) - parties
    assert int(counted["bridges"]) == len(topology.bridges)
    on_parties = [s for s in topology.snoops.values() if s.target in map(leg_key, PARTIES)]
    assert int(counted["ends: snoops on the parties"]) == len(on_parties)


def test_the_objects_of_a_gallery_are_counted() -> None:
    def lines_of(people: int) -> int:
        names = frozenset(participant(f"boss{n}") for n in range(people))
        return len(plan(Gallery(seated=names)).bridges)

    assert lines_of(2) == 1
    assert lines_of(6) == 15
    assert "2 channels and 1 bridge; six have fifteen" in text_of(WORKS)


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    written = re.findall(r"^\| `(bridge/\w+)` \|", text_of("CONTRIBUTING.md"), re.MULTILINE)
    assert [layer.replace(".", "/") for layer in layers] == written


def test_the_states_of_a_call_are_drawn_as_they_are() -> None:
    drawn = text_of("docs/call-states.md")
    assert drawn == calls.render(), "run scripts/generate-diagram"
    assert "connected_connected --> finishing_connected: close()<br/>disconnect()" in drawn


def test_the_states_of_an_observer_are_drawn_as_they_are() -> None:
    drawn = text_of("docs/observer-states.md")
    assert drawn == observers.render(), "run scripts/generate-diagram"
    assert "| the callee is replaced: a transfer | nobody | caller | callee, caller |" in drawn


def test_the_states_of_a_transfer_are_drawn_as_they_are() -> None:
    drawn = text_of("docs/transfer-states.md")
    assert drawn == transfers.render(), "run scripts/generate-diagram"
    assert "    ringing --> joining: he answers<br/>he accepts" in drawn
    declines = (
        "| he declines by key, does not accept in time, or is a machine | - | - | **failed** |"
    )
    assert declines in drawn


def test_a_page_that_differs_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "PAGES", {"page.md": lambda: "as it is\n"})
    monkeypatch.setattr(sys, "argv", ["generate-diagram", "--check"])
    assert pages.main() == 1
    assert "+as it is" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["generate-diagram"])
    assert pages.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate-diagram", "--check"])
    assert pages.main() == 0
    assert capsys.readouterr().out == ""
