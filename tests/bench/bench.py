#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a request costs the server: HTTP/1.1, HTTP/2 and HTTP/3 on the same httpd in the same run.

README.md beside this file says how to run it and what the numbers mean.
"""
import argparse
import json
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
PROTOCOLS = ("h1", "h2", "h3")
NAMES = {"h1": "HTTP/1.1", "h2": "HTTP/2", "h3": "HTTP/3"}
PARTS = ("requests", "serial", "files", "big", "uploads", "handshakes", "idle")
CIPHER = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
MIB, GIB = 1 << 20, 1 << 30
HOST = "bench.test"

CONFIG = """
ServerName {host}
ServerRoot {root}
DefaultRuntimeDir {root}
PidFile {root}/httpd.pid
ErrorLog {root}/error.log
LogLevel warn
TypesConfig /dev/null
{user}
{load}
Listen 127.0.0.1:{port}
DocumentRoot {docroot}
ServerLimit {children}
StartServers {children}
ThreadsPerChild {threads}
ThreadLimit {threads}
MaxRequestWorkers {workers}
MinSpareThreads 1
MaxSpareThreads {workers}
MaxConnectionsPerChild 0
AsyncRequestWorkerFactor 64
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 120
Timeout 120
{http3}
<Directory />
    AllowOverride None
    Require all granted
</Directory>
<VirtualHost 127.0.0.1:{port}>
    ServerName {host}
    Protocols {protocols}
    SSLEngine on
    SSLCertificateFile {root}/cert.pem
    SSLCertificateKeyFile {root}/key.pem
</VirtualHost>
{extra}
"""


class BenchError(Exception):
    """The measurement cannot be trusted; the message says why."""


def main():
    o = options()
    if o.mtu and "BENCH_NETNS" not in os.environ:
        enter_network_namespace(o.mtu)
    work = tempfile.mkdtemp(prefix="h3bench-", dir=o.docroot)
    os.chmod(work, 0o755)
    try:
        report = Bench(o, work).run()
    except BenchError as e:
        log = os.path.join(work, "error.log")
        if os.path.exists(log):
            sys.stderr.write("".join(open(log, errors="replace").readlines()[-15:]))
        sys.exit("bench.py: %s" % e)
    finally:
        if o.keep:
            sys.stderr.write("bench.py: kept %s\n" % work)
        else:
            shutil.rmtree(work, ignore_errors=True)
    text = markdown(report)
    if o.json:
        write(o.json, json.dumps(report, indent=1) + "\n")
    if o.markdown:
        write(o.markdown, text)
    print(text)


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--parts", default=",".join(PARTS), help="of %s" % ",".join(PARTS))
    p.add_argument("--protocols", default=",".join(PROTOCOLS), help="of h1,h2,h3")
    p.add_argument("--baseline", action="store_true",
                   help="HTTP/1.1 and HTTP/2 only, without the modules")
    p.add_argument("--runs", type=int, default=5, help="alternating runs of each measurement")
    p.add_argument("--quick", action="store_true", help="one short run each: does all of it work?")
    p.add_argument("--connections", type=int, default=16, help="of the part requests")
    p.add_argument("--streams", type=int, default=8, help="requests at once per h2/h3 connection")
    p.add_argument("--requests", type=int, default=40000)
    p.add_argument("--children", type=int, default=1, help="server processes")
    p.add_argument("--threads", type=int, default=64, help="ThreadsPerChild")
    p.add_argument("--server-cpu", default="0", help="for taskset")
    p.add_argument("--client-cpu", default="1", help="for taskset")
    p.add_argument("--mtu", type=int, default=1500,
                   help="loopback MTU, in a network namespace of our own (root); 0: as it is")
    p.add_argument("--port", type=int, default=8443)
    p.add_argument("--docroot", default="/tmp", help="where the files lie: the file system counts")
    p.add_argument("--config", help="a file with more directives")
    p.add_argument("--wrapper", default="", help="a command to run httpd under (valgrind ...)")
    p.add_argument("--label", default="", help="a word about this build, for the table")
    p.add_argument("--json", help="write all figures there")
    p.add_argument("--markdown", help="write the table there too")
    p.add_argument("--keep", action="store_true", help="leave the server's files behind")
    o = p.parse_args()
    o.parts = choice(p, o.parts, PARTS)
    o.protocols = choice(p, o.protocols, PROTOCOLS)
    if o.baseline:
        o.protocols = [x for x in o.protocols if x != "h3"]
    if o.quick:
        o.runs, o.requests = 1, 2000
    return o


def choice(parser, text, allowed):
    words = text.split(",")
    for word in words:
        if word not in allowed:
            parser.error("%s is not one of %s" % (word, ",".join(allowed)))
    return [x for x in allowed if x in words]


def enter_network_namespace(mtu):
    """A loopback of 64 KiB packets flatters TCP; wires have 1500 bytes."""
    if os.geteuid() != 0:
        sys.exit("bench.py: --mtu needs root (--mtu 0: the loopback as it is)")
    os.environ["BENCH_NETNS"] = "1"
    script = "ip link set lo mtu %d up && exec \"$@\"" % mtu
    os.execvp("unshare", ["unshare", "-n", "sh", "-c", script, "sh", sys.executable] + sys.argv)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


class Server:
    """The httpd under test. Its CPU time is that of all its processes."""

    def __init__(self, o, work):
        self.o, self.work = o, work
        self.binary = os.environ.get("HTTPD", "/usr/sbin/apache2")
        self.modules = os.environ.get("HTTPD_MODULES", "/usr/lib/apache2/modules")
        self.with_h3 = "h3" in o.protocols
        self.proc = None
        self.ca = make_certificate(work)
        self.make_files()
        self.write_config()

    def make_files(self):
        self.docroot = os.path.join(self.work, "htdocs")
        os.mkdir(self.docroot)
        sizes = {"1k": 1024}
        if "files" in self.o.parts:
            sizes["10m"] = 10 * MIB
        if "big" in self.o.parts:
            sizes["1g"] = GIB if not self.o.quick else 64 * MIB
        if "uploads" in self.o.parts:
            sizes["body"] = 64 * MIB if not self.o.quick else 4 * MIB
            sizes["sink"] = len("%d\n" % sizes["body"])
        block = os.urandom(MIB)
        for name, size in sizes.items():
            with open(os.path.join(self.docroot, name), "wb") as f:
                while f.tell() < size:
                    f.write(block[:size - f.tell()])

    def make_sink(self):
        """The path of a module whose handler reads a body, and does nothing else."""
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mod_sink.c")
        shutil.copy(source, self.work)
        done = subprocess.run([os.environ.get("APXS") or "apxs", "-c", "mod_sink.c"], text=True,
                              cwd=self.work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise BenchError("apxs: " + done.stdout)
        return os.path.join(self.work, ".libs", "mod_sink.so")

    def write_config(self):
        o = self.o
        load = load_lines(self.modules, ["mpm_event", "unixd", "log_config", "authz_core", "alias",
                                         "dir", "env", "mime", "setenvif", "socache_shmcb", "ssl",
                                         "http2"], self.with_h3)
        if "uploads" in o.parts:
            load += "\nLoadModule sink_module %s" % self.make_sink()
            load += "\n<Location /sink>\n    SetHandler sink\n</Location>"
        text = CONFIG.format(
            host=HOST, root=self.work, docroot=self.docroot, port=o.port, load=load,
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            children=o.children, threads=o.threads, workers=o.children * o.threads,
            http3="AltSvc auto" if self.with_h3 else "",
            protocols="h3 h2 http/1.1" if self.with_h3 else "h2 http/1.1",
            extra=open(o.config).read() if o.config else "")
        write(os.path.join(self.work, "httpd.conf"), text)

    def start(self):
        command = shlex.split(self.o.wrapper) + [
            self.binary, "-f", os.path.join(self.work, "httpd.conf"), "-DFOREGROUND"]
        if self.o.server_cpu:
            command = ["taskset", "-c", self.o.server_cpu] + command
        self.proc = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.proc.poll() is not None:
                raise BenchError("httpd ended with %d" % self.proc.returncode)
            try:
                socket.create_connection(("127.0.0.1", self.o.port), 1).close()
                time.sleep(0.5)
                return
            except OSError:
                time.sleep(0.1)
        raise BenchError("httpd does not listen")

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.proc.pid, signal.SIGKILL)
                self.proc.wait()
                raise BenchError("httpd did not stop in 60 s")
        self.proc = None

    def pids(self):
        """All processes of the session that httpd leads."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(proc_stat(name)[3]) == self.proc.pid:
                    found.append(name)
            except OSError:
                continue
        return found

    def cpu(self):
        """(user, system) seconds so far, ended children included."""
        user = system = 0
        for pid in self.pids():
            fields = proc_stat(pid)
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        return user / TICK, system / TICK

    def memory(self):
        """Bytes of this server alone, shared pages by their share."""
        total = 0
        for pid in self.pids():
            with open("/proc/%s/smaps_rollup" % pid) as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1)) * 1024
        return total


def proc_stat(pid):
    """The fields of /proc/PID/stat behind the name, so that [0] is the state."""
    with open("/proc/%s/stat" % pid) as f:
        return f.read().rpartition(") ")[2].split()


def make_certificate(folder):
    """cert.pem, which is its own root, and key.pem; the path of the first."""
    cert = os.path.join(folder, "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
               os.path.join(folder, "key.pem"), "-out", cert, "-days", "2",
               "-subj", "/CN=" + HOST, "-addext", "subjectAltName=DNS:" + HOST]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return cert


def load_lines(folder, names, with_h3):
    """LoadModule lines. Debian's httpd has some modules built in, and no file for those."""
    load = []
    for name in names:
        path = os.path.join(folder, "mod_%s.so" % name)
        if os.path.exists(path):
            load.append("LoadModule %s_module %s" % (name, path))
    if with_h3:
        load += ["LoadModule http3_module " + module("HTTP3_MODULE"),
                 "LoadModule altsvc_module " + module("ALTSVC_MODULE")]
    return "\n".join(load)


def module(variable):
    path = os.environ.get(variable, "")
    if not os.path.isabs(path) or not os.path.isfile(path):
        raise BenchError("%s must hold the absolute path of the module" % variable)
    return path


def run_client(command, cpu):
    if cpu:
        command = ["taskset", "-c", cpu] + command
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=900)
    if done.returncode:
        raise BenchError("%s: %s%s" % (" ".join(command), done.stdout[-800:], done.stderr[-800:]))
    return done.stdout


class Client:
    """h2load for TCP, h3load for QUIC; both say the same about themselves."""

    def __init__(self, o, server):
        self.o, self.server = o, server
        self.h3load = os.environ.get("H3LOAD", "")
        if "h3" in o.protocols and not os.access(self.h3load, os.X_OK):
            raise BenchError("H3LOAD must hold the path of h3load")

    def url(self, path):
        return "https://%s:%d/%s" % (HOST, self.o.port, path)

    def load(self, protocol, path, n, connections, streams, body=None):
        """Runs n requests, POSTs of the file `body` if there is one; all must succeed."""
        counts = ["-n", str(n), "-c", str(connections), "-m", str(streams)]
        if body:
            body = os.path.join(self.server.docroot, body)
            counts += ["--upload", body] if protocol == "h3" else ["-d", body]
        address = "127.0.0.1:%d" % self.o.port
        if protocol == "h3":
            out = run_client([self.h3load, "--json", "--cacert", self.server.ca, "--connect",
                              address] + counts + [self.url(path)], self.o.client_cpu)
            answer = json.loads(out)
            ok = answer["status"].get("200", 0)
            if answer["body_bytes"] != n * os.path.getsize(
                    os.path.join(self.server.docroot, path)):
                raise BenchError("h3: %d bytes of body" % answer["body_bytes"])
        else:
            command = ["h2load", "--tls13-ciphers=" + CIPHER, "--groups=" + GROUP,
                       "--connect-to=" + address] + counts
            if protocol == "h1":
                command.append("--h1")
            out = run_client(command + [self.url(path)], self.o.client_cpu)
            if CIPHER not in out or ("h2" if protocol == "h2" else "http/1.1") not in out:
                raise BenchError("not the cipher or protocol asked for: " + out)
            ok = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
        if ok != n:
            raise BenchError("%s: %d of %d requests succeeded" % (protocol, ok, n))

    def handshakes(self, n):
        run_client([self.h3load, "--json", "--cacert", self.server.ca, "--connect",
                    "127.0.0.1:%d" % self.o.port, "--handshakes-only", "-n", str(n), "-c", "100",
                    self.url("1k")], self.o.client_cpu)

    def hold_h3(self, n, seconds):
        """Starts n connections of one request each; returns when all are idle."""
        command = [self.h3load, "--json", "--cacert", self.server.ca, "--connect",
                   "127.0.0.1:%d" % self.o.port, "-c", str(n), "-n", str(n), "--idle",
                   str(seconds), self.url("1k")]
        proc = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)
        line = proc.stderr.readline()
        if "idle: %d connections" % n not in line:
            proc.kill()
            raise BenchError("h3load: %s" % line)
        return proc

    def hold_tcp(self, protocol, n):
        context = ssl.create_default_context(cafile=self.server.ca)
        context.set_alpn_protocols(["h2" if protocol == "h2" else "http/1.1"])
        held = []
        for _ in range(n):
            raw = socket.create_connection(("127.0.0.1", self.o.port))
            conn = context.wrap_socket(raw, server_hostname=HOST)
            conn.settimeout(10)
            conn.sendall(h2_request() if protocol == "h2" else h1_request())
            got = 0
            while got < 1024:  # the body at least
                data = conn.recv(65536)
                if not data:
                    raise BenchError("connection %d was closed" % len(held))
                got += len(data)
            held.append(conn)
        return held


def h1_request():
    return ("GET /1k HTTP/1.1\r\nHost: %s\r\n\r\n" % HOST).encode()


def h2_request():
    """Preface, empty SETTINGS, one GET in the static table's terms (RFC 9113, RFC 7541)."""
    head = bytes([0x82, 0x87, 0x04, 3]) + b"/1k" + bytes([0x01, len(HOST)]) + HOST.encode()
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            + bytes([0, 0, len(head), 1, 5, 0, 0, 0, 1]) + head)


class Bench:
    def __init__(self, o, work):
        self.o = o
        self.server = Server(o, work)
        self.client = Client(o, self.server)

    def run(self):
        o = self.o
        report = {"label": o.label, "runs": o.runs, "machine": machine(self.server),
                  "options": {k: getattr(o, k) for k in (
                      "connections", "streams", "requests", "children", "threads", "mtu",
                      "quick")}, "parts": {}}
        for part in o.parts:
            if part == "idle":
                report["parts"][part] = self.idle()
            else:
                report["parts"].update(self.measure_cpu(part))
        report["machine"]["load_after"] = os.getloadavg()[0]
        return report

    def measure_cpu(self, part):
        jobs = self.jobs(part)
        results = {}
        self.server.start()
        try:
            for name, protocol, units, job in jobs:
                job()  # warm: the page cache, the pools, the spare threads
            for _ in range(self.o.runs):
                for name, protocol, units, job in jobs:
                    say("%s %s" % (name, protocol))
                    figures = self.timed(job, units)
                    results.setdefault(name, {}).setdefault(protocol, []).append(figures)
        finally:
            self.server.stop()
        return {name: {p: summary(runs) for p, runs in by.items()} for name, by in results.items()}

    def timed(self, job, units):
        """One run: seconds of server CPU, wall and client CPU, each per unit."""
        time.sleep(0.3)  # what the last run left behind
        before, client, start = self.server.cpu(), children_cpu(), time.monotonic()
        job()
        wall = time.monotonic() - start
        used = children_cpu() - client
        time.sleep(0.2)  # closing belongs to the run
        after = self.server.cpu()
        return {"cpu": (sum(after) - sum(before)) / units, "user": (after[0] - before[0]) / units,
                "system": (after[1] - before[1]) / units, "wall": wall / units,
                "client": used / units}

    def jobs(self, part):
        """(row of the table, protocol, units in a run, what to run), in alternating order."""
        o, load = self.o, self.client.load
        jobs = []
        for p in o.protocols:
            if part == "requests":
                streams = 1 if p == "h1" else o.streams
                jobs.append(("requests", p, o.requests, lambda p=p, m=streams: load(
                    p, "1k", o.requests, o.connections, m)))
            elif part == "files":
                n = 8 if o.quick else 104
                jobs.append(("files", p, n * 10 / 1024, lambda p=p, n=n: load(p, "10m", n, 4, 1)))
            elif part == "big":
                jobs.append(("big", p, 1 / 16 if o.quick else 1,
                             lambda p=p: load(p, "1g", 1, 1, 1)))
            elif part == "serial":
                n = o.requests // 8
                jobs.append(("serial", p, n, lambda p=p, n=n: load(p, "1k", n, 1, 1)))
            elif part == "uploads":
                n = 4 if o.quick else 16
                jobs.append(("uploads", p, n / (256 if o.quick else 16),
                             lambda p=p, n=n: load(p, "sink", n, 4, 1, "body")))
            elif part == "handshakes":
                n, times = (100, 1) if o.quick else (250, 4)
                jobs.append(("handshakes", p, n * times, lambda p=p, n=n, times=times: [
                    load(p, "1k", n, n, 1) for _ in range(times)]))
                if p == "h3":
                    jobs.append(("handshakes alone", p, n * times,
                                 lambda n=n, times=times: self.client.handshakes(n * times)))
        return jobs

    def idle(self):
        """A fresh server each time: what another run freed would hide what this one needs."""
        count = 100 if self.o.quick else 1000
        found = {p: [] for p in self.o.protocols}
        for _ in range(self.o.runs):
            for p in self.o.protocols:
                say("idle %s" % p)
                self.server.start()
                try:
                    found[p].append({"bytes": self.idle_once(p, count)})
                finally:
                    self.server.stop()
        return {p: summary(runs) for p, runs in found.items()}

    def idle_once(self, protocol, count):
        self.client.load(protocol, "1k", 2000, 10, 1)
        time.sleep(1)
        before = self.server.memory()
        if protocol == "h3":
            held = self.client.hold_h3(count, 8)
        else:
            held = self.client.hold_tcp(protocol, count)
        time.sleep(2)
        after = self.server.memory()
        if protocol == "h3":
            if held.wait(60):
                raise BenchError("h3load lost connections")
        else:
            for conn in held:
                conn.close()
        return (after - before) / count


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def summary(runs):
    """Medians; the first figure's runs are kept, so that their spread can be seen."""
    first = next(iter(runs[0]))
    out = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    out["runs"] = [run[first] for run in runs]
    return out


def machine(server):
    version = subprocess.run([server.binary, "-v"], stdout=subprocess.PIPE, text=True).stdout
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    disk = subprocess.run(["stat", "-f", "-c", "%T", server.docroot], stdout=subprocess.PIPE,
                          text=True).stdout.strip()
    return {"httpd": version.splitlines()[0].split(":")[1].strip(), "kernel": platform.release(),
            "cpu": cpu.group(1) if cpu else platform.machine(), "cpus": os.cpu_count(),
            "files": disk, "load_before": os.getloadavg()[0]}


def say(text):
    sys.stderr.write("bench.py: %s\n" % text)


ROWS = (
    ("requests", "cpu", "CPU per 1 KiB request", "us", 1e6),
    ("serial", "cpu", "CPU per 1 KiB request, one at a time", "us", 1e6),
    ("files", "cpu", "CPU per GiB of 10 MiB files, 4 connections", "s", 1),
    ("big", "cpu", "CPU per GiB, one stream", "s", 1),
    ("uploads", "cpu", "CPU per GiB of 64 MiB uploads, 4 connections", "s", 1),
    ("handshakes", "cpu", "CPU per connection with one 1 KiB request", "us", 1e6),
    ("handshakes alone", "cpu", "CPU per handshake alone", "us", 1e6),
    ("idle", "bytes", "memory per idle connection", "KiB", 1 / 1024),
    ("requests", "wall", "requests per second", "1/s", None),
    ("serial", "wall", "requests per second, one at a time", "1/s", None),
    ("files", "wall", "10 MiB files, MiB/s", "MiB/s", None),
    ("big", "wall", "one stream, MiB/s", "MiB/s", None),
    ("uploads", "wall", "64 MiB uploads, MiB/s", "MiB/s", None),
)


def cell(figures, key, unit, scale):
    if figures is None:
        return "", None
    value = figures[key]
    if scale is None:
        value = 1 / value * (1024 if unit == "MiB/s" else 1)
    else:
        value *= scale
    text = ("%.0f" if value >= 100 else "%.1f" if value >= 10 else "%.2f") % value
    if key in ("cpu", "bytes") and len(figures["runs"]) > 1:
        low, high = min(figures["runs"]) * scale, max(figures["runs"]) * scale
        text += " (%.3g-%.3g)" % (low, high)
    return text, value


def ratio(value, base):
    return "" if value is None or not base else "%.2f" % (value / base)


def markdown(report):
    m, o = report["machine"], report["options"]
    lines = ["httpd %s, Linux %s, %s x%d, MTU %s, files on %s%s. "
             "Medians of %d runs (lowest-highest)." % (
                 m["httpd"], m["kernel"], m["cpu"], m["cpus"], o["mtu"] or "of the host",
                 m["files"],
                 ", " + report["label"] if report["label"] else "", report["runs"]), "",
             "| server's | unit | HTTP/1.1 | HTTP/2 | HTTP/3 | h3 : h1 | h3 : h2 |",
             "|---|---|---|---|---|---|---|"]
    for part, key, title, unit, scale in ROWS:
        by = report["parts"].get(part)
        if not by:
            continue
        cells = {p: cell(by.get(p), key, unit, scale) for p in PROTOCOLS}
        lines.append("| %s | %s | %s | %s | %s | %s | %s |" % (
            title, unit, cells["h1"][0], cells["h2"][0], cells["h3"][0],
            ratio(cells["h3"][1], cells["h1"][1]), ratio(cells["h3"][1], cells["h2"][1])))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
