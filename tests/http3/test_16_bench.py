# SPDX-License-Identifier: Apache-2.0
"""tests/bench/bench.py: that all of it works. What it measures is never a test's business."""
import importlib.util
import json
import os
import subprocess
import sys

import pytest

BENCH = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "bench", "bench.py"))
EVERY = {"h1", "h2", "h3"}
# What is measured: by which protocols that can be done.
MEASURED = {"requests": EVERY, "serial": EVERY, "files": EVERY, "big": EVERY, "uploads": EVERY,
            "handshakes": EVERY, "handshakes alone": {"h3"}, "idle": EVERY}
ROWS = ["CPU per 1 KiB request", "CPU per 1 KiB request, one at a time",
        "CPU per GiB of 10 MiB files, 4 connections", "CPU per GiB, one stream",
        "CPU per GiB of 64 MiB uploads, 4 connections", "CPU per connection with one 1 KiB request",
        "CPU per handshake alone", "memory per idle connection"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace of its own")
def test_it_measures_everything(tmp_path):
    out = tmp_path / "report.json"
    done = subprocess.run([sys.executable, BENCH, "--quick", "--json", str(out)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    parts = json.loads(out.read_text())["parts"]
    assert {part: set(by) for part, by in parts.items()} == MEASURED
    for part, by in parts.items():
        for protocol, figures in by.items():
            assert figures["bytes" if part == "idle" else "wall"] > 0, (part, protocol)
    # Long enough for the clock of /proc, also in a quick run.
    assert all(figures["cpu"] > 0 for figures in parts["requests"].values())
    assert "h3 : h1 | h3 : h2" in done.stdout
    for row in ROWS:
        assert "\n| %s | " % row in done.stdout, done.stdout


def test_medians_of_five_runs_on_two_cores(monkeypatch):
    """What it does unless told otherwise."""
    spec = importlib.util.spec_from_file_location("bench", BENCH)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    options = bench.options()
    assert options.runs >= 5 and options.mtu == 1500
    assert options.server_cpu != options.client_cpu
    assert bench.summary([{"cpu": c} for c in (5, 1, 3, 9, 2)])["cpu"] == 3
