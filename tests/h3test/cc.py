# SPDX-License-Identifier: Apache-2.0
"""What a test compiles: a module for httpd, a library to be preloaded."""
import atexit
import os
import shutil
import subprocess
import tempfile

import pytest

from . import tools

GUESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guests")


def _query(*names):
    apxs = os.environ.get("APXS") or "apxs"
    return " ".join(subprocess.run([apxs, "-q", name], check=True, stdout=subprocess.PIPE,
                                   encoding="utf-8", timeout=60).stdout for name in names).split()


def shared(name):
    """The path of tests/guests/NAME.c as a shared object."""
    folder = tempfile.mkdtemp(prefix="h3test-cc-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, True)
    flags = ["-I%s" % path for path in _query("INCLUDEDIR")]
    flags += [flag for flag in _query("EXTRA_CPPFLAGS", "EXTRA_INCLUDES")
              if flag.startswith(("-D", "-I"))]
    path = os.path.join(folder, name + ".so")
    tools.run(os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Werror",
              *flags, "-o", path, os.path.join(GUESTS, name + ".c"), "-ldl")
    return path


@pytest.fixture(scope="session")
def guest():
    """The LoadModule line of mod_guest, which does to connections what modules do to them."""
    return "LoadModule guest_module %s\n" % shared("mod_guest")
