# SPDX-License-Identifier: Apache-2.0
"""tests/bench/path.c, paths.py and fairness.py: that the emulated path does what it is told, and
that all of it works. How fast anything is over such a path is never a test's business."""
import json
import os
import statistics
import subprocess
import sys
import time

import pytest

from h3test import in_path
from h3test.in_path import MANY
from h3test.tools import h3load_path, run
from h3test.wait import bound

BENCH = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "bench"))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces of its own")


def path_program():
    return os.path.join(os.path.dirname(h3load_path()), "path")


def over_path(tmp_path, function, *options):
    """What a function of h3test/in_path.py returned over a path, and the path's report."""
    report, out = tmp_path / "report.json", tmp_path / "out.json"
    code, output = run(path_program(), *map(str, options), "--limit", "%g" % bound(30), "--report",
                       str(report), "--", sys.executable, in_path.__file__, function, str(out))
    assert code == 0, output
    return json.loads(out.read_text()), json.loads(report.read_text())


def adds_up(link):
    return link["packets"] + link["duplicated"] == (
        link["delivered"] + link["lost"] + link["dropped_queue"] + link["dropped_mtu"]
        + link["under_way"])


def test_delay(tmp_path):
    """At least what was asked for; what a busy machine adds is in the report."""
    times, report = over_path(tmp_path, "round_trips", "--delay", 20, "--up-delay", 30)
    for family in "46":
        assert min(times[family]) >= 50, times
        assert statistics.median(times[family]) < 50 + bound(20), times
    assert report["up"]["packets"] == report["down"]["delivered"] == 40
    assert adds_up(report["up"]) and adds_up(report["down"])


def test_rate_and_queue(tmp_path):
    """10 Mbit take a second at 10 Mbit/s, and not all of them fit into a short queue."""
    times, report = over_path(tmp_path, "flood", "--up-rate", 10, "--up-queue", "2m")
    assert len(times) == 625 and report["up"]["bytes"] == 625 * (1500 + 520), report
    assert 1 <= times[-1] < 1 + bound(1), times[-1]
    assert report["up"]["max_queue"] > 1000000 and report["up"]["dropped_queue"] == 0
    times, report = over_path(tmp_path, "flood", "--up-rate", 10, "--up-queue", "100k")
    assert report["up"]["dropped_queue"] > 500 and len(times) < 625
    assert 90000 < report["up"]["max_queue"] <= report["up"]["queue_limit"] == 102400
    assert report["up"]["packets"] == 1250 and adds_up(report["up"]) and adds_up(report["down"])


@pytest.mark.parametrize("options", [(), ("--up-burst", 5)], ids=["single", "bursts"])
def test_losses(tmp_path, options):
    """5 % of 4000; a seed loses the same packets again, another one others."""
    first, again, other = (
        over_path(tmp_path, "many", "--up-loss", 5, *options, "--seed", seed) for seed in (3, 3, 4))
    got, report = first
    assert report["up"]["packets"] == MANY and report["down"]["lost"] == 0
    assert MANY * 0.03 < report["up"]["lost"] < MANY * 0.07, report
    assert len(got) == MANY - report["up"]["lost"] and got == sorted(got)
    assert adds_up(report["up"])
    assert again[0] == got != other[0]
    runs = sum(1 for a, b in zip([-1] + got, got + [MANY]) if b > a + 1)
    assert (runs > 0.8 * report["up"]["lost"]) == (not options), runs


def test_reordering_and_duplicates(tmp_path):
    got, report = over_path(tmp_path, "many", "--down-reorder", 5, "--down-hold", 20,
                            "--down-duplicate", 3)
    down = report["down"]
    assert MANY * 0.03 < down["reordered"] < MANY * 0.07, report
    assert MANY * 0.015 < down["duplicated"] < MANY * 0.045, report
    assert len(got) == MANY + down["duplicated"] and set(got) == set(range(MANY))
    assert got != sorted(got)
    assert down["packets"] == MANY and adds_up(down)


def test_smaller_mtu_later(tmp_path):
    (before, after), report = over_path(tmp_path, "lengths", "--later", 2, "--later-mtu", 1300)
    assert before == [1400] and after == [1000]
    assert report["up"]["dropped_mtu"] == 1 and adds_up(report["up"])


def test_it_leaves_nothing_behind(tmp_path):
    """What the command left running ends with it, and a command that takes too long as well."""
    pids = tmp_path / "pids"
    code, _ = run(path_program(), "--report", str(tmp_path / "r"), "--", "sh", "-c",
                  "setsid sh -c 'echo $$ >%s; sleep 600' & while ! [ -s %s ]; do sleep 0.1; done; "
                  "exit 7" % (pids, pids), check=False)
    assert code == 7 and not os.path.exists("/proc/" + pids.read_text().strip())
    begun = time.monotonic()
    code, output = run(path_program(), "--limit", "0.5", "--", "sleep", "600", check=False)
    assert code == 124 and "0.5 seconds" in output and time.monotonic() - begun < bound(5)
    for wrong in ["--rate", "x"], ["--loss", "101"], ["--up-seed", "1"], ["--queue", "1q"], []:
        assert run(path_program(), *wrong, "--", "true", check=False)[0] == (2 if wrong else 0)
    assert run(path_program(), check=False)[0] == 2


def script(name, tmp_path, *options, timeout=100):
    out = tmp_path / "out.json"
    done = subprocess.run([sys.executable, os.path.join(BENCH, name), "--json", str(out), *options],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=bound(timeout), check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())["measured"], done.stdout


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_short_table(tmp_path):
    """Each protocol and each transfer once over a lossy path. The program fails on wrong bytes."""
    measured, text = script("paths.py", tmp_path, "--rtt", "20", "--rate", "50", "--loss", "1",
                            "--size", "1", "--runs", "1", "--jobs", "2", "--tcp", "cubic",
                            "--limit", "60", "--path", "--reorder 1 --hold 5 --duplicate 1")
    assert len(measured) == 12
    for cell in measured:
        assert cell["error"] is None and cell["seconds"], cell
        down, up = (cell["runs"][0]["path"][d] for d in ("down", "up"))
        assert adds_up(down) and adds_up(up), cell
        assert (up if cell["what"] == "upload" else down)["bytes"] > 1024, cell
    assert text.count("\n| 20 | 50 | 1 | ") == 4, text


def test_a_cell_that_does_not_end(tmp_path):
    """Neither one that cannot, nor one that is cut off, is an error."""
    measured, text = script("paths.py", tmp_path, "--rtt", "20", "--rate", "1,4", "--loss", "0",
                            "--what", "download", "--size", "1", "--runs", "2", "--limit", "2.2",
                            "--protocols", "h3")
    assert [cell["seconds"] for cell in measured] == [None, None]
    assert [bool(cell["runs"][0]["path"]) for cell in measured] == [False, True]
    assert text.count("| > 2.2 |") == 2, text


def test_two_flows(tmp_path):
    measured, text = script("fairness.py", tmp_path, "--rtt", "20", "--rate", "10", "--loss", "0",
                            "--queue", "1", "--flows", "h3+tcp", "--seconds", "3", "--ignore", "1")
    assert len(measured) == 1 and abs(sum(measured[0]["shares"]) - 1) < 1e-6
    assert all(measured[0]["shares"]) and measured[0]["use"] <= 1.05, measured
    assert "### h3+tcp" in text and "h3 : fair" in text
