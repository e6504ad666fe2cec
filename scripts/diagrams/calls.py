"""``docs/call-states.md``, from ``bridge/session/machine.py``.

Nothing is drawn by hand: from a call that has just come in, everything that can happen is fed to
the machine, in every session that it can come to, and what it answers is written down. As in the
runtime (``CallEngine``, ``Hands``), effects are carried out one after the other while other things
happen, and what is slow is given up when the call, or the callee, is let go. Everything together
with everything would be millions of sessions, so it is done in several rounds (``ROUNDS``).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from bridge.model.errors import ErrorCode
from bridge.model.modes import BARGE, SPY, whisper
from bridge.model.participants import AGENT, CALLEE, CALLER, Participant, participant
from bridge.model.states import CallState
from bridge.session import Phase, Session, inputs, step
from bridge.session.effects import (
    AnswerCaller,
    Converge,
    Dial,
    Effect,
    HangUp,
    Mend,
    Refuse,
    Succeed,
    TearDown,
)
from bridge.session.inputs import Command, Input, Token
from bridge.session.machine import INPUTS
from scripts.diagrams.mermaid import BREAK, Box, diagram, table

TOKEN = Token(1)
THIRD, BOSS = participant("party_1003"), participant("supervisor")

COMMANDS: Mapping[str, tuple[Command, ...]] = {
    "answer": (inputs.Answer(TOKEN),),
    "connect": (inputs.Connect(TOKEN, "PJSIP/1002", 60),),
    "spy, whisper, barge": tuple(
        inputs.ChangeMode(TOKEN, mode) for mode in (SPY, BARGE, whisper(CALLEE), whisper(CALLER))
    ),
    "close": (inputs.Close(TOKEN),),
    "disconnect": (inputs.Disconnect(TOKEN),),
}
ADD = inputs.AddParty(TOKEN, THIRD, "PJSIP/1003", 30)
REMOVALS = tuple(inputs.RemoveParty(TOKEN, party) for party in (CALLER, CALLEE, THIRD))
MUTINGS = tuple(inputs.MuteParty(TOKEN, CALLER, on) for on in (True, False))
HOLDINGS = tuple(inputs.HoldParty(TOKEN, CALLER, on) for on in (True, False))
ARRANGEMENTS = (inputs.Arrange(TOKEN, held=frozenset({CALLER}), kept=True),)
JOIN = inputs.JoinParty(TOKEN, THIRD)
TAKEOVERS = tuple(inputs.TakeOver(TOKEN, BOSS, CALLEE, keep) for keep in (True, False))
REPLACE_AGENT = inputs.TakeOver(TOKEN, BOSS, AGENT)
DROP_AGENT = inputs.TakeOver(TOKEN, BOSS, AGENT, keep=False)
GIVE_BACK = inputs.GiveBack(TOKEN, BOSS)

ANSWERED, NOT_ANSWERED = inputs.CallerAnswered(), inputs.AnswerFailed("")
STANDS, DOES_NOT_STAND = inputs.AudienceStands(), inputs.AudienceFailed("")
NOT_HAD = inputs.CalleeFailed(ErrorCode.CALL_BUSY, "")
CALLER_GONE, CALLEE_GONE = inputs.PartyGone(CALLER, 16), inputs.PartyGone(CALLEE, 16)
THIRD_GONE = inputs.PartyGone(THIRD, 16)
ADDED_NOT_HAD = inputs.PartyFailed(THIRD, ErrorCode.CALL_BUSY, "")
TORN_DOWN = inputs.TornDown()
LETTING_GO = {Phase.RINGING, Phase.JOINING}
"""Phases in which a hang-up is of the callee who rings or is being joined."""
WORDS: Mapping[Input, str] = {
    **{command: f"{name}()" for name, commands in COMMANDS.items() for command in commands},
    ADD: "add()",
    **dict.fromkeys(REMOVALS, "remove()"),
    **dict.fromkeys(MUTINGS, "mute(), unmute()"),
    **dict.fromkeys(HOLDINGS, "hold(), unhold()"),
    **dict.fromkeys(ARRANGEMENTS, "the parties are arranged"),
    JOIN: "who called by himself joins",
    **dict.fromkeys((*TAKEOVERS, REPLACE_AGENT), "an observer takes over"),
    DROP_AGENT: "an observer takes over, the agent is let go",
    GIVE_BACK: "an observer gives back",
    ANSWERED: "the caller is answered",
    NOT_ANSWERED: "the caller cannot be answered",
    inputs.CalleeAnswered(): "the callee answers",
    NOT_HAD: "the callee cannot be had",
    inputs.PartyAnswered(THIRD): "who is added answers",
    ADDED_NOT_HAD: "who is added cannot be had",
    CALLER_GONE: "the caller hangs up",
    CALLEE_GONE: "the callee hangs up",
    THIRD_GONE: "who was added hangs up",
    inputs.TakerGone(BOSS): "who took over leaves",
    STANDS: "the objects stand",
    DOES_NOT_STAND: "the objects cannot be made",
    inputs.LineLost(CALLER): "a line of the agent breaks",
    inputs.EventsMissed(): "events were missed",
    inputs.VoiceReached(TOKEN): "the audio reaches a change of mode",
    inputs.VoiceSettled(TOKEN): "the audio has passed a change of mode",
    inputs.VoiceFailed(TOKEN, ""): "a change of mode fails",
    inputs.VoiceFinished(): "the last word was played",
    inputs.ServerLost(): "Asterisk is lost",
    TORN_DOWN: "all is removed",
}
ONLY_REPORTED = {ANSWERED, NOT_ANSWERED, STANDS, DOES_NOT_STAND, TORN_DOWN}
ENDS = {Phase.FINISHING, Phase.LEAVING, Phase.DETACHED, Phase.ENDING, Phase.DISCONNECTED}

MODES: frozenset[Input] = frozenset(
    event
    for event in WORDS
    if isinstance(
        event, inputs.ChangeMode | inputs.VoiceReached | inputs.VoiceSettled | inputs.VoiceFailed
    )
)
BREAKS: frozenset[Input] = frozenset({inputs.LineLost(CALLER), inputs.EventsMissed()})
PARTIES: frozenset[Input] = frozenset(
    {ADD, JOIN, *REMOVALS, THIRD_GONE, inputs.PartyAnswered(THIRD), ADDED_NOT_HAD}
)
TAKING: frozenset[Input] = frozenset(
    {*TAKEOVERS, REPLACE_AGENT, DROP_AGENT, GIVE_BACK, inputs.TakerGone(BOSS)}
)
WITHOUT_PHASE = frozenset({*MUTINGS, *HOLDINGS, *ARRANGEMENTS})
"""Commands on which no phase depends: what they lead to is not followed."""
ROUNDS: tuple[frozenset[Input], ...] = (
    PARTIES | TAKING,
    MODES | TAKING,
    MODES | BREAKS | PARTIES,
    MODES | BREAKS | {REPLACE_AGENT, DROP_AGENT, inputs.Disconnect(TOKEN), inputs.ServerLost()},
)
"""What does not happen in each round."""

HEADER = """\
# The states of a call

Generated by `scripts/generate-diagram` from `bridge/session/machine.py`; do not edit.

A program sees four states; the machine knows the ways between them as well. Each box is a phase of
the machine with, in capitals, the state that `call.state` reports in it. An input that is not
drawn at a box changes no phase there. *The objects* are those in Asterisk that make who hears whom:
see [how it works](how-it-works.md). *The agent* is the program's own part in the call; an
[observer](observer-states.md) has a machine of his own, and concerns the call only when he takes it
over.
"""


COMMANDS_TEXT = """
## Commands

→ the phase that a command leads to; *accepted*: it is carried out in the same phase; a code: it is
refused with that error and changes nothing. Answering, joining, leaving and ending last only as
long as Asterisk takes to do what it was told: milliseconds, when it is near.
"""

CONFERENCE_TEXT = """
## Parties, and takeover

`remove`, `mute` and `hold` are of the callee or, where he is not, of somebody who is there.
`remove` is refused with `INVALID_STATE` when nobody would be left, or one whom nobody speaks to:
the agent spies, or whispers to the other. `take_over` and `give_back` are commands of an observer,
here without an argument: the first where nobody has taken over, the second where he has.
`INVALID_STATE` there: who is to be replaced is gone, or leaves nobody to talk to; who was replaced
was let go, or his takeover is not in effect yet.

`join` and `arrange` are commands of a transfer or a parking: somebody who has called by himself is
put to the others; all parties are put to their places at once, held, apart or together. Who keeps
the call meanwhile (`arrange` says so) may `add` and `remove`, too, when the agent has left; the
call does not end then as long as one party is there, whoever leaves.
"""


@dataclass(frozen=True, order=True)
class Node:
    """A phase, and the state that a program sees in it."""

    order: int
    phase: Phase
    state: CallState

    @property
    def name(self) -> str:
        """For tables."""
        same = self.phase.upper() == self.state
        return f"**{self.state}**" if same else f"{self.phase} ({self.state})"

    @property
    def box(self) -> Box:
        """For diagrams."""
        same = self.phase.upper() == self.state
        label = self.state if same else f"{self.phase}{BREAK}{self.state}"
        return Box(f"{self.phase}_{self.state}".lower(), label)


@dataclass(frozen=True)
class World:
    """A session, what is being carried out, and whether the callee has a leg that can end."""

    session: Session = field(default_factory=Session)
    callee: bool = False
    under_way: tuple[Effect, ...] = ()
    """Effects that will report something, in their order."""


Edges: TypeAlias = Mapping[tuple[Node, Node], set[Input]]


def node(session: Session) -> Node:
    """Return the box that a session belongs to."""
    return Node(list(Phase).index(session.phase), session.phase, session.state)


FIRST = node(Session()).box
LAST = node(Session(phase=Phase.DISCONNECTED)).box


def reports(effect: Effect) -> tuple[tuple[Input, ...], ...]:
    """Return what an effect may report at once: alternatives; most report later or never."""
    match effect:
        case AnswerCaller():
            return (ANSWERED,), (NOT_ANSWERED,), (CALLER_GONE,)
        case Converge(audience):
            legs = (CALLER_GONE, CALLEE_GONE, THIRD_GONE)
            gone = [leg for leg in legs if leg.party in audience.parties]
            return (STANDS,), (DOES_NOT_STAND,), *((leg,) for leg in gone)
        case Mend(audience):
            return (), *reports(Converge(audience))
        case Dial(party=party) if party == CALLEE:
            return (), (NOT_HAD,)
        case TearDown():
            return ((TORN_DOWN,),)
        case _:
            return ((),)


class Explorer:
    """Finds every box that can be come to without some inputs, and every edge."""

    def __init__(self, without: Collection[Input]) -> None:
        self.edges: defaultdict[tuple[Node, Node], set[Input]] = defaultdict(set)
        self.worlds = {World()}
        self._inputs = [e for e in WORDS if e not in ONLY_REPORTED and e not in without]
        due = deque(self.worlds)
        while due:
            world = due.popleft()
            after = (*map(partial(self._follow, world), self._possible(world)), *self._told(world))
            for new in after:
                if new not in self.worlds:
                    self.worlds.add(new)
                    due.append(new)

    @property
    def sessions(self) -> set[Session]:
        """All sessions that were come to."""
        return {world.session for world in self.worlds}

    def _possible(self, world: World) -> Iterator[Input]:
        """Return what may happen by itself."""
        for event in self._inputs:
            about_callee = isinstance(event, inputs.CalleeAnswered | inputs.CalleeFailed)
            if about_callee and not world.callee:
                continue
            # While he rings, the end of the callee's leg is reported as CalleeFailed.
            if event == CALLEE_GONE and (world.session.phase is Phase.RINGING or not world.callee):
                continue
            yield event

    def _follow(self, world: World, event: Input) -> World:
        """Feed an input; return what the world is then."""
        session, effects = step(world.session, event)
        # Commands that wait in a row make no difference to the phase: one stands for all.
        session = replace(
            session,
            turnings=session.turnings[:1],
            leaving=session.leaving[:1],
            changes=session.changes[:1],
        )
        if node(session) != node(world.session):
            self.edges[node(world.session), node(session)].add(event)
        if event in WITHOUT_PHASE:
            return world
        callee = _callee_after(event, effects, before=world.callee)
        ends = any(isinstance(effect, TearDown) for effect in effects)
        let_go = world.session.phase in LETTING_GO and _hangs_up_callee(effects)
        before = () if ends or let_go else world.under_way
        told = [effect for effect in effects if reports(effect) != ((),)]
        wanted = [effect for effect in (*before, *told) if isinstance(effect, Converge | Mend)]
        # What the last one of these reports is all that counts.
        stale = set(map(id, wanted[:-1]))
        under_way = tuple(effect for effect in (*before, *told) if id(effect) not in stale)
        return World(session, callee, under_way)

    def _told(self, world: World) -> Iterator[World]:
        """Let the effect that is being carried out report what it may."""
        if not world.under_way:
            return
        first, *others = world.under_way
        rest = replace(world, under_way=tuple(others))
        for facts in reports(first):
            after = rest
            for fact in facts:
                after = self._follow(after, fact)
            yield after


def _hangs_up_callee(effects: Iterable[Effect]) -> bool:
    return any(isinstance(effect, HangUp) and effect.party == CALLEE for effect in effects)


def _callee_after(event: Input, effects: tuple[Effect, ...], *, before: bool) -> bool:
    if any(isinstance(effect, Dial) and effect.party == CALLEE for effect in effects):
        return True
    hung_up = _hangs_up_callee(effects) or any(isinstance(e, TearDown) for e in effects)
    return before and not hung_up and event not in {NOT_HAD, CALLEE_GONE}


# --- what is drawn ------------------------------------------------------------------------------


def drawn(edges: Edges, *, ends: bool) -> str:
    """Return the diagram of the edges that lead, or do not lead, to the end."""
    order = list(dict.fromkeys(WORDS.values()))
    found = sorted(pair for pair in edges if (pair[1].phase in ENDS) is ends)
    # Boxes are declared in their order, whichever edge names them first.
    boxes = sorted({end for pair in found for end in pair})
    words = {pair: sorted({WORDS[e] for e in edges[pair]}, key=order.index) for pair in found}
    return diagram(
        {(start.box, end.box): words[start, end] for start, end in found},
        boxes=[one.box for one in boxes],
        first=FIRST,
        last=LAST,
    )


def outcome(session: Session, command: Command) -> str:
    """Say what a command does: the phase it leads to, or the code it is refused with."""
    after, effects = step(session, command)
    for effect in effects:
        if isinstance(effect, Refuse) and after == session:
            return f"`{effect.code}`"
    if after.phase is not session.phase:
        return f"→ {after.phase}"
    done = any(isinstance(effect, Succeed) for effect in effects)
    return "done already" if done and after == session else "accepted"


def _somebody(session: Session) -> Participant:
    return next((party for party in (CALLEE, THIRD) if party in session.parties), CALLER)


def _muting(session: Session) -> Iterable[Command]:
    party = _somebody(session)
    return inputs.MuteParty(TOKEN, party, on=True), inputs.HoldParty(TOKEN, party, on=True)


def _takeover(session: Session) -> Command:
    return TAKEOVERS[0] if CALLEE in session.parties else REPLACE_AGENT


def _is_free(session: Session) -> bool:
    return session.taken_over_by is None


def _is_settled(session: Session) -> bool:
    return _is_free(session) and not session.adding and bool(session.parties)


Column: TypeAlias = tuple[str, Callable[[Session], Iterable[Command]], Callable[[Session], bool]]
"""Its title, the commands that it is about, and in which sessions of a box, if there are such."""


def _always(*commands: Command) -> Callable[[Session], Iterable[Command]]:
    return lambda _session: commands


FIRST_COLUMNS: tuple[Column, ...] = tuple(
    (name, _always(*commands), _is_free) for name, commands in COMMANDS.items()
)
MORE_COLUMNS: tuple[Column, ...] = (
    ("add", _always(ADD), lambda s: not s.adding and THIRD not in s.parties),
    ("remove", lambda s: (inputs.RemoveParty(TOKEN, _somebody(s)),), _is_settled),
    ("mute, hold", _muting, _is_settled),
    ("join", _always(JOIN), lambda s: not s.adding and THIRD not in s.parties),
    ("arrange", _always(*ARRANGEMENTS), _is_settled),
    ("take_over", lambda s: (_takeover(s),), _is_settled),
    ("give_back", _always(GIVE_BACK), lambda s: not _is_free(s)),
)


def command_table(sessions: Iterable[Session], columns: tuple[Column, ...]) -> str:
    """Return what every command does in every box."""
    of_box: defaultdict[Node, list[Session]] = defaultdict(list)
    for session in sessions:
        of_box[node(session)].append(session)
    rows = []
    for one, here in sorted(of_box.items(), key=lambda item: item[0]):
        cells = []
        for _, commands, matters in columns:
            meant = list(filter(matters, here)) or here
            said = {outcome(session, command) for session in meant for command in commands(session)}
            cells.append(" or ".join(sorted(said)))
        rows.append((one.name, *cells))
    return table([f"`{name}`" for name, _, _ in columns], rows)


def render() -> str:
    """Return the whole page. Raises TypeError if the machine knows inputs that have no words."""
    if missing := set(INPUTS) - {type(event) for event in WORDS}:
        raise TypeError(f"give these inputs words here: {missing}")
    found = [Explorer(without) for without in ROUNDS]
    edges: defaultdict[tuple[Node, Node], set[Input]] = defaultdict(set)
    for explorer in found:
        for pair, events in explorer.edges.items():
            edges[pair] |= events
    everywhere = {session for explorer in found for session in explorer.sessions}
    parts = [
        HEADER,
        "## From the first ring to the conversation\n",
        drawn(edges, ends=False),
        "\n## To the end\n",
        drawn(edges, ends=True),
        COMMANDS_TEXT,
        command_table(found[0].sessions, FIRST_COLUMNS),
        CONFERENCE_TEXT,
        command_table(everywhere, MORE_COLUMNS),
        "",
    ]
    return "\n".join(parts)
