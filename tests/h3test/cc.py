# SPDX-License-Identifier: Apache-2.0
"""What a test compiles: a module for httpd, a library to be preloaded."""
import atexit
import os
import shutil
import subprocess
import tempfile

import pytest

from . import tools
from .installed import run_mode

GUESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guests")


def _query(*names):
    apxs = os.environ.get("APXS") or "apxs"
    return " ".join(subprocess.run([apxs, "-q", name], check=True, stdout=subprocess.PIPE,
                                   encoding="utf-8", timeout=60).stdout for name in names).split()


def shared(name, *packages):
    """The path of tests/guests/NAME.c as a shared object. `packages`: what it needs, for
    pkg-config."""
    folder = tempfile.mkdtemp(prefix="h3test-cc-", dir=os.environ.get("H3TEST_TMP", "/var/tmp"))
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, True)
    flags = ["-I%s" % path for path in _query("INCLUDEDIR")]
    flags += [flag for flag in _query("EXTRA_CPPFLAGS", "EXTRA_INCLUDES")
              if flag.startswith(("-D", "-I"))]
    libraries = ["-ldl"]
    if packages:
        libraries += tools.run("pkg-config", "--cflags", "--libs", *packages)[1].split()
    path = os.path.join(folder, name + ".so")
    tools.run(os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Werror",
              *flags, "-o", path, os.path.join(GUESTS, name + ".c"), *libraries)
    return path


def preload(httpd, path, **environment):
    """httpd is to run with that shared object before all others but a sanitizer's runtime."""
    first = [os.environ["H3TEST_PRELOAD"]] if run_mode() in ("asan", "tsan") else []
    httpd.process.env.update(environment, LD_PRELOAD=":".join(first + [path]))


@pytest.fixture(scope="session")
def guest():
    """The LoadModule line of mod_guest, which does to connections what modules do to them."""
    return "LoadModule guest_module %s\n" % shared("mod_guest")
