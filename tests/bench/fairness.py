#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How flows share one bottleneck: HTTP/3 against TCP, and HTTP/3 against itself.

README.md beside this file says how to run it and what the numbers mean.
"""
import argparse
import contextlib
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import emulated
from bench import BenchError
from emulated import Client, Path, Server, Site

FLOWS = "h3+tcp,h3+4tcp,2h3"


def main():
    o = options()
    with emulated.workplace(o.keep) as folder:
        if o.keep:
            say("files in %s" % folder)
        try:
            report = run(o, Site(folder, 1024))
        except BenchError as e:
            sys.exit("fairness.py: %s" % e)
    emulated.save(o, report, markdown(o, report))


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--flows", default=FLOWS, help="each a sum as 2h3+4tcp (%s)" % FLOWS)
    p.add_argument("--tcp", default="cubic", help="congestion control of all TCP")
    p.add_argument("--rtt", default="20,100", help="ms")
    p.add_argument("--rate", default="20", help="Mbit/s of the bottleneck")
    p.add_argument("--loss", default="0,0.1,1,3", help="%%, in both directions")
    p.add_argument("--queue", default="0.5,1,4", help="bandwidth-delay products")
    p.add_argument("--seconds", type=float, default=20, help="that are counted")
    p.add_argument("--ignore", type=float, default=3, help="seconds before them")
    p.add_argument("--runs", type=int, default=1, help="medians of the shares are shown")
    emulated.add_options(p)
    o = p.parse_args()
    try:
        o.rtt, o.rate, o.loss, o.queue = map(emulated.numbers, (o.rtt, o.rate, o.loss, o.queue))
        o.flows = [(text, kinds(text)) for text in o.flows.split(",")]
    except ValueError as e:
        p.error(str(e))
    return o


def kinds(text):
    """One word per flow: 2h3+tcp is h3, h3, tcp."""
    out = []
    for term in text.split("+"):
        match = re.fullmatch(r"(\d*)(h3|tcp)", term)
        if not match:
            raise ValueError("%s is no sum of flows such as h3+4tcp" % text)
        out += [match.group(2)] * int(match.group(1) or 1)
    return out


def say(text):
    sys.stderr.write("fairness.py: %s\n" % text)


def run(o, site):
    cells = [(flows, rtt, rate, queue, loss) for flows in o.flows for rtt in o.rtt
             for rate in o.rate for queue in o.queue for loss in o.loss]
    with ThreadPoolExecutor(o.jobs) as pool:
        measured = list(pool.map(lambda cell: measure_all(o, site, cell), cells))
    return {"machine": emulated.machine(), "options": vars(o), "measured": measured}


def measure_all(o, site, cell):
    (text, flows), rtt, rate, queue, loss = cell
    runs = [measure(o, site, cell, o.seed + i) for i in range(o.runs)]
    shares = [statistics.median(r["bytes"][i] / max(sum(r["bytes"]), 1) for r in runs)
              for i in range(len(flows))]
    use = statistics.median(sum(r["bytes"]) * 8 / r["seconds"] / (rate * 1e6) for r in runs)
    say("%s, %g ms, %g Mbit/s, queue %g, loss %g %%: %s, %.0f %% of the rate" % (
        text, rtt, rate, queue, loss, " ".join("%.3f" % share for share in shares), use * 100))
    return {"flows": text, "kinds": flows, "rtt": rtt, "rate": rate, "queue": queue, "loss": loss,
            "shares": shares, "use": use, "runs": runs}


def measure(o, site, cell, seed):
    """Bytes of body that each flow received in the time that counts."""
    (_, flows), rtt, rate, queue, loss = cell
    conditions = ["--rate", rate, "--delay", rtt / 2, "--queue", "%gbdp" % queue, "--loss", loss,
                  "--seed", seed, *shlex.split(" ".join(o.path))]
    limit = o.ignore + o.seconds + 3 * emulated.PATIENCE
    with emulated.workplace(o.keep) as folder:
        path = Path(conditions, folder, limit)
        address = emulated.SERVER6 if o.ipv6 else emulated.SERVER
        with path:
            path.tune_tcp(o.tcp)
            with Server(path, site, folder, address, o.add):
                client = Client(path.at_client, site, folder, address)
                with running(client, flows, folder, limit) as files:
                    time.sleep(o.ignore)
                    before, begun = sizes(files), time.monotonic()
                    time.sleep(o.seconds)
                    after, seconds = sizes(files), time.monotonic() - begun
    return {"bytes": [b - a for a, b in zip(before, after)], "seconds": seconds,
            "path": path.report, "late": bool(path.report) and emulated.was_late(path.report)}


@contextlib.contextmanager
def running(client, flows, folder, limit):
    """Starts all flows; what each has received is in a file of its own."""
    files = [os.path.join(folder, "flow%d" % i) for i in range(len(flows))]
    processes = []
    try:
        for kind, file in zip(flows, files):
            options = ["-o" if kind == "tcp" else "--out", file, client.url("endless")]
            # HTTP/1.1, for the simplest server that TCP can have.
            command = (client.curl("h1", "--no-buffer", *options) if kind == "tcp"
                       else client.h3load(limit, *options))
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.PIPE, text=True))
        yield files
        for process in processes:
            if process.poll() is not None:
                raise BenchError("%s ended early: %s" % (shlex.join(process.args),
                                                         process.stderr.read()))
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def sizes(files):
    return [os.path.getsize(file) if os.path.exists(file) else 0 for file in files]


def markdown(o, report):
    lines = [emulated.heading(
        o, "Of %g s, after %g s that do not count, %d runs; TCP with %s; losses in both directions."
        % (o.seconds, o.ignore, o.runs, o.tcp)), "",
        "A share is the flow's part of all bytes of bodies; `h3 : fair` its ratio to an equal one "
        "(the mean of the flows of HTTP/3). `~`: the machine was too busy for an exact path."]
    for text, flows in o.flows:
        titles = ["%s share" % kind for kind in flows]
        lines += ["", "### " + text, "",
                  "| RTT ms | Mbit/s | queue BDP | loss % | " + " | ".join(titles)
                  + " | h3 : fair | use of the rate |", "|---" * (6 + len(titles)) + "|"]
        for m in report["measured"]:
            if m["flows"] == text:
                lines.append(row(m))
    return "\n".join(lines) + "\n"


def row(m):
    h3 = [share for kind, share in zip(m["kinds"], m["shares"]) if kind == "h3"]
    fair = "%.2f" % (statistics.mean(h3) * len(m["kinds"])) if h3 else ""
    late = " ~" if any(r["late"] for r in m["runs"]) else ""
    return "| %g | %g | %g | %g | %s | %s | %.0f %%%s |" % (
        m["rtt"], m["rate"], m["queue"], m["loss"],
        " | ".join("%.0f %%" % (share * 100) for share in m["shares"]), fair, m["use"] * 100, late)


if __name__ == "__main__":
    main()
