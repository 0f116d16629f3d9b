# SPDX-License-Identifier: Apache-2.0
"""Hands on the sockets of a running server, from outside: what its steering program does is seen by
taking it off."""
import ctypes
import os
import socket

from . import procs

SYS_PIDFD_GETFD = 438
SO_ATTACH_REUSEPORT_CBPF = 51
SO_DETACH_REUSEPORT_BPF = 68
UDP_GRO = 104


def sockets_of(pid, port):
    """Duplicates of the process's UDP sockets that are bound to the port."""
    wanted = {inode for inode, have in procs.udp_sockets(pid).items() if have == port}
    libc, found = ctypes.CDLL(None, use_errno=True), []
    pidfd = os.pidfd_open(pid)
    try:
        for fd, what in procs.fds(pid).items():
            if what.startswith("socket:[") and what[8:-1] in wanted:
                copy = libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
                if copy < 0:
                    raise OSError(ctypes.get_errno(), "pidfd_getfd")
                found.append(socket.socket(fileno=copy))
    finally:
        os.close(pidfd)
    return found


def detach(httpd, port=None):
    """Takes the steering program off every group of the port: from here on the kernel chooses by
    the addresses. Returns from how many groups."""
    off = 0
    for sock in sockets_of(httpd.parent, port or httpd.port):
        with sock:
            try:
                sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)
                off += 1
            except FileNotFoundError:
                pass                # another socket of the same group was first
    return off


def gro(httpd, port=None):
    """The set of what the port's sockets have for UDP_GRO."""
    found = set()
    for sock in sockets_of(httpd.parent, port or httpd.port):
        with sock:
            found.add(sock.getsockopt(socket.SOL_UDP, UDP_GRO))
    return found
