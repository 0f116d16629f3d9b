#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long transfers take over emulated paths: HTTP/1.1 and HTTP/2 over TCP, HTTP/3 over QUIC.

README.md beside this file says how to run it and what the numbers mean.
"""
import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import emulated
from bench import MIB, PROTOCOLS, BenchError, choice
from emulated import Client, Path, Server, Site

WHAT = ("download", "upload", "objects", "request")


def main():
    o = options()
    with emulated.workplace(o.keep) as folder:
        if o.keep:
            say("files in %s" % folder)
        try:
            report = Paths(o, folder).run()
        except BenchError as e:
            sys.exit("paths.py: %s" % e)
    emulated.save(o, report, markdown(o, report))
    sys.exit(1 if any(m["error"] for m in report["measured"]) else 0)


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--what", default=",".join(WHAT), help="of %s" % ",".join(WHAT))
    p.add_argument("--protocols", default=",".join(PROTOCOLS), help="of h1,h2,h3")
    p.add_argument("--tcp", default="cubic,bbr", help="congestion controls for h1 and h2")
    p.add_argument("--rtt", default="20,100,300", help="ms")
    p.add_argument("--rate", default="1,10,100", help="Mbit/s")
    p.add_argument("--loss", default="0,0.1,1,3", help="%%, in both directions")
    p.add_argument("--burst", type=float, help="mean length of bursts of losses (each by itself)")
    p.add_argument("--queue", default="1bdp", help="of the bottleneck: bytes, or Xbdp")
    p.add_argument("--size", type=float, default=20, help="MiB, of downloads and uploads")
    p.add_argument("--runs", type=int, default=3, help="with other losses each; medians are shown")
    p.add_argument("--limit", type=float, default=120, help="seconds for each transfer")
    p.add_argument("--margin", type=float, default=2,
                   help="HTTP/3 counts as slower from so many %% on")
    emulated.add_options(p)
    o = p.parse_args()
    o.what = choice(p, o.what, WHAT)
    o.protocols = choice(p, o.protocols, PROTOCOLS)
    o.tcp = o.tcp.split(",")
    try:
        o.rtt, o.rate, o.loss = map(emulated.numbers, (o.rtt, o.rate, o.loss))
    except ValueError as e:
        p.error(str(e))
    return o


def say(text):
    sys.stderr.write("paths.py: %s\n" % text)


def columns(o):
    """(protocol, congestion control of TCP or None)."""
    out = []
    for protocol in o.protocols:
        out += [(protocol, tcp) for tcp in o.tcp] if protocol != "h3" else [("h3", None)]
    return out


class Paths:
    def __init__(self, o, folder):
        self.o, self.folder = o, folder
        self.site = Site(folder, int(o.size * MIB))

    def run(self):
        o = self.o
        cells = [(what, rtt, rate, loss, *column) for what in o.what for rtt in o.rtt
                 for rate in o.rate for loss in o.loss for column in columns(o)]
        with ThreadPoolExecutor(o.jobs) as pool:
            measured = list(pool.map(self.cell, cells))
        return {"machine": emulated.machine(), "options": vars(o), "measured": measured}

    def cell(self, cell):
        """All runs of one cell of the table. One that takes too long is not tried again."""
        o = self.o
        what, rtt, rate, loss, protocol, tcp = cell
        result = {"what": what, "rtt": rtt, "rate": rate, "loss": loss, "protocol": protocol,
                  "tcp": tcp, "runs": [], "error": None}
        for run in range(o.runs):
            if self.least_seconds(what, rate) > o.limit:
                one = {"seconds": None, "path": None, "late": False}
            else:
                try:
                    one = self.measure(cell, o.seed + run)
                except BenchError as e:
                    say(str(e))
                    result["error"] = str(e)
                    break
            result["runs"].append(one)
            if one["seconds"] is None:
                break
        times = [math.inf if r["seconds"] is None else r["seconds"] for r in result["runs"]]
        median = statistics.median_high(times) if times else math.inf
        result["seconds"] = None if median == math.inf else median
        say("%s, %g ms, %g Mbit/s, %g %%: %s %s: %s" % (*cell[:5], tcp or "",
                                                     text_of(result, o.limit)))
        return result

    def least_seconds(self, what, rate):
        """What no protocol can do better than."""
        size = {"request": 1024, "objects": emulated.OBJECTS * emulated.OBJECT_SIZE}.get(
            what, self.o.size * MIB)
        return size * 8 / (rate * 1e6) if rate else 0

    def measure(self, cell, seed):
        """One transfer over a path and from a server that nobody has used before."""
        o = self.o
        what, rtt, rate, loss, protocol, tcp = cell
        conditions = ["--rate", rate, "--delay", rtt / 2, "--queue", o.queue, "--loss", loss,
                      "--seed", seed, *shlex.split(" ".join(o.path))]
        if o.burst:
            conditions += ["--burst", o.burst]
        address = emulated.SERVER6 if o.ipv6 else emulated.SERVER
        with emulated.workplace(o.keep) as folder:
            path = Path(conditions, folder, o.limit + 3 * emulated.PATIENCE)
            with path:
                path.tune_tcp(tcp or "cubic")
                with Server(path, self.site, folder, address, o.add) as server:
                    client = Client(path.at_client, self.site, folder, address, server.dav)
                    try:
                        seconds = getattr(client, what)(protocol, o.limit)
                    except subprocess.TimeoutExpired:
                        seconds = None
        if not path.report:
            raise BenchError("the path ended before its time")
        return {"seconds": seconds, "path": path.report,
                "late": emulated.was_late(path.report)}


def text_of(result, limit):
    if result["error"]:
        return "failed"
    if result["seconds"] is None:
        return "> %g" % limit
    text = ("%.1f" if result["seconds"] >= 100 else "%.2f" if result["seconds"] >= 1 else "%.3f")
    return text % result["seconds"] + (" ~" if any(r["late"] for r in result["runs"]) else "")


def slower_than(by, margin):
    """The congestion controls with which HTTP/2 was faster than HTTP/3."""
    h3 = by.get(("h3", None))
    if not h3 or h3["error"]:
        return []
    seconds = math.inf if h3["seconds"] is None else h3["seconds"]
    return [tcp for (protocol, tcp), r in by.items() if protocol == "h2" and not r["error"]
            and r["seconds"] is not None and seconds > r["seconds"] * (1 + margin / 100)]


def row(o, by, shown):
    cells = [text_of(by[column], o.limit) for column in shown]
    if "h3" in o.protocols:
        cells[-1] += "".join(" !" + tcp for tcp in slower_than(by, o.margin))
    return cells


def markdown(o, report):
    shown = columns(o)
    titles = ["%s %s" % (protocol, tcp) if tcp else protocol for protocol, tcp in shown]
    lines = [emulated.heading(o, "Seconds, medians of %d runs; queue %s; losses in both directions"
                              "%s." % (o.runs, o.queue, ", in bursts of %g" % o.burst if o.burst
                                       else "")), "",
             "`!cubic`: h3 is slower than h2 with cubic, by more than %g %%. `> %g`: did not end "
             "in time. `~`: the machine was too busy for an exact path." % (
                 o.margin, o.limit)]
    names = {"download": "download of %g MiB" % o.size, "upload": "upload of %g MiB" % o.size,
             "objects": "%d objects of %d KiB at once" % (emulated.OBJECTS,
                                                        emulated.OBJECT_SIZE // 1024),
             "request": "one request of 1 KiB, with the handshake"}
    for what in o.what:
        lines += ["", "### " + names[what][0].upper() + names[what][1:], "",
                  "| RTT ms | Mbit/s | loss % | " + " | ".join(titles) + " |",
                  "|---" * (3 + len(titles)) + "|"]
        for rtt in o.rtt:
            for rate in o.rate:
                for loss in o.loss:
                    by = {(m["protocol"], m["tcp"]): m for m in report["measured"]
                          if (m["what"], m["rtt"], m["rate"], m["loss"]) == (what, rtt, rate, loss)}
                    lines.append("| %g | %g | %g | %s |" % (rtt, rate, loss,
                                                           " | ".join(row(o, by, shown))))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
