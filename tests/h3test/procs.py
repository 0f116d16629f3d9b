# SPDX-License-Identifier: Apache-2.0
"""What /proc says of a process."""
import os


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status(pid):
    return dict(line.split(":", 1) for line in _read("/proc/%d/status" % pid).splitlines())


def is_alive(pid):
    return status(pid).get("State", "\tX").strip()[:1] not in ("X", "Z")


def kib(pid, key):
    """VmRSS, VmHWM ... in KiB."""
    return int(status(pid)[key].split()[0])


def threads(pid):
    return int(status(pid).get("Threads", "0"))


def uid(pid):
    return int(status(pid)["Uid"].split()[0])


def fds(pid):
    """{fd: what it is} of a process."""
    found = {}
    folder = "/proc/%d/fd" % pid
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return {}
    for name in names:
        try:
            found[int(name)] = os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
    return found


def _sockets(pid, kind, column):
    """{inode: port} of the sockets that the process holds open, from /proc/net/<kind>."""
    held = {what[8:-1] for what in fds(pid).values() if what.startswith("socket:[")}
    found = {}
    for table in (kind, kind + "6"):
        for line in _read("/proc/net/" + table).splitlines()[1:]:
            parts = line.split()
            if parts[9] in held:
                found[parts[9]] = int(parts[column].rsplit(":", 1)[1], 16)
    return found


def udp_sockets(pid):
    """{inode: local port} of the UDP sockets that the process holds open."""
    return _sockets(pid, "udp", 1)


def tcp_peers(pid):
    """{inode: the peer's port} of the TCP sockets that the process holds open."""
    return _sockets(pid, "tcp", 2)


def children(pid):
    """Living children, zombies left out."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid) if os.path.isdir("/proc/%d/task" % pid) else []:
        text = _read("/proc/%d/task/%s/children" % (pid, task))
        found += [int(child) for child in text.split()]
    return [child for child in found if is_alive(child)]


def reset_peak(pid):
    """Makes VmHWM start again from the present VmRSS."""
    with open("/proc/%d/clear_refs" % pid, "w") as file:
        file.write("5")


def cpu_seconds(pid):
    fields = _read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
