"""``callbridge run`` as it is typed, and a run whose callbridge is a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bridge.lab.acceptance import OwnSite, load, perform, scenarios
from bridge.lab.acceptance.model import Server
from tests.support.commands import Shell
from tests.support.daemon import running_api
from tests.support.pbx import Pbx

pytestmark = [pytest.mark.asterisk, pytest.mark.phones]

SHORT = """\
name: two talk
phones: {anna: 1001, ben: 1002}
steps:
  - place: {from: anna, to: 91002}
  - hears: {anna: ben, ben: anna}
  - hang_up: anna
"""


async def test_runs_have_results_and_an_exit_code(pbx: Pbx, tmp_path: Path) -> None:
    shell, instance = Shell.nowhere(), ("--instance", pbx.instance.name)
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(SHORT, encoding="utf-8")
    bad.write_text(SHORT.replace("ben: anna", "ben: []"), encoding="utf-8")
    said = await shell("run", str(good), *instance)
    assert (said.code, said.err) == (0, "")
    assert "✓ two talk" in said.out

    junit = tmp_path / "results.xml"
    both = (str(bad), str(good), *instance, "--json", "--junit", str(junit))
    said = await shell("run", *both)
    assert said.code == 1
    assert [run["verdict"] for run in said.lines] == ["failed", "passed"], "all are made"
    [failed] = [step for step in said.lines[0]["steps"] if step["verdict"] == "failed"]
    assert failed["line"] == 5
    assert failed["measured"]["dbfs"]["ben"]["anna"] == pytest.approx(-15, abs=3)
    assert junit.read_text(encoding="utf-8").count("<testsuite ") == 2


async def test_wrong_files_are_told_before_anything_is_done(tmp_path: Path) -> None:
    shell = Shell.nowhere()
    (tmp_path / "a.yaml").write_text(SHORT.replace("place", "plaze"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("name: x\n", encoding="utf-8")
    files = (str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    for more in ((), ("--check",)):
        said = await shell("run", *files, *more)
        assert (said.code, said.out) == (2, "")
        assert f"{files[0]}:4: there is no step plaze: did you mean place?" in said.err
        assert f"{files[1]}:1: the run needs phones" in said.err
    assert (await shell("run")).code == 2
    lost = await shell("run", "plain_call", "--junit", str(tmp_path / "none" / "results.xml"))
    assert (lost.code, "--junit" in lost.err) == (2, True), "not after the run"
    assert (await shell("run", "no-such-scenario")).code == 2
    assert (await shell("run", "plain_call", "--instance", "no-such-instance")).code == 3
    checked = await shell.done("run", "--check", *scenarios())
    assert len(checked.splitlines()) == len(scenarios())
    reference = await shell.done("run", "--steps")
    assert "hears: Who hears whom" in reference
    assert "coached_call" in reference


async def test_the_json_of_a_run_is_one_line(pbx: Pbx, tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(SHORT, encoding="utf-8")
    shell = Shell.nowhere()
    out = await shell.done("run", str(file), "--instance", pbx.instance.name, "--json")
    assert json.loads(out)["file"] == str(file)


async def test_what_is_heard_in_two_runs_of_one_name_is_kept_of_both(
    pbx: Pbx, tmp_path: Path
) -> None:
    files = [tmp_path / office / "good.yaml" for office in ("berlin", "paris")]
    for file in files:
        file.parent.mkdir()
        file.write_text(SHORT, encoding="utf-8")
    keep = tmp_path / "kept"
    words = ("--instance", pbx.instance.name, "--keep", str(keep))
    await Shell.nowhere().done("run", *map(str, files), *words)
    assert {path.name for path in keep.iterdir()} == {"good-1", "good-2"}


@pytest.mark.parametrize("name", ["coached_call", "handed_over_call", "outbound_call"])
async def test_a_scenario_through_a_daemon(pbx: Pbx, tmp_path: Path, name: str) -> None:
    run = load(scenarios()[name])
    info = pbx.instance.info
    passwords = {account.number: account.password for account in info.accounts}
    phones = {
        who: msgspec.structs.replace(spec, password=passwords[spec.extension])
        for who, spec in run.phones.items()
    }
    async with running_api(pbx.instance, tmp_path) as api:
        server = Server(
            sip=f"{info.sip.host}:{info.sip.port}", callbridge=api.url, key=api.keys["admin"]
        )
        run = msgspec.structs.replace(run, server=server, phones=phones)
        report = await perform(run, OwnSite(server))
    assert report.failures == ()
    assert report.verdict == "passed"
