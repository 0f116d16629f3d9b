# SPDX-License-Identifier: Apache-2.0
"""What there is to be tested, with what, and how: httpd, its modules and ours, the run mode."""
import functools
import os
import re
import socket
import subprocess

import pytest

BINARY = os.environ.get("HTTPD", "/usr/sbin/apache2")
MODULE_DIR = os.environ.get("HTTPD_MODULES", "/usr/lib/apache2/modules")


class HttpdError(AssertionError):
    """httpd did not do what it was told; the message holds what it said."""


def module_under_test(variable):
    """The path in HTTP3_MODULE or ALTSVC_MODULE."""
    path = os.environ.get(variable)
    if not path or not os.path.isabs(path) or not os.path.isfile(path):
        raise HttpdError("%s must hold the absolute path of the module to test, it is %r" % (
            variable, path))
    return path


@functools.lru_cache(maxsize=None)
def built_in():
    """The modules that the binary itself holds: "unixd", "mpm_event"."""
    lines = subprocess.run([BINARY, "-l"], stdout=subprocess.PIPE, check=True, timeout=30,
                           encoding="ascii").stdout.split()
    return {re.sub(r"^(event|worker|prefork)$", r"mpm_\1", re.sub(r"^mod_", "", line[:-2]))
            for line in lines if line.endswith(".c")}


def has_module(name):
    return name in built_in() or os.path.exists("%s/mod_%s.so" % (MODULE_DIR, name))


def load_line(name):
    """The LoadModule line of one of httpd's own modules; none for one that is built in."""
    return "" if name in built_in() else "LoadModule %s_module %s/mod_%s.so\n" % (
        name, MODULE_DIR, name)


def usual_mpm():
    """The name without "mpm_"."""
    return ([name[4:] for name in built_in() if name.startswith("mpm_")] or ["event"])[0]


def need_choice(mpm, without):
    """Skips a test that wants another MPM, or not a module, than httpd has built in."""
    fixed = [m for m in built_in() if m.startswith("mpm_") and m != "mpm_" + mpm]
    fixed += [m for m in without if m in built_in()]
    if fixed:
        pytest.skip("this httpd has built in: %s" % " ".join(fixed))


def run_mode():
    """'', 'asan', 'tsan' or 'valgrind': how httpd is run, from H3TEST_RUN."""
    mode = os.environ.get("H3TEST_RUN", "")
    if mode not in ("", "asan", "tsan", "valgrind"):
        raise HttpdError("H3TEST_RUN is asan, tsan, valgrind or nothing, not %r" % mode)
    return mode


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
