# SPDX-License-Identifier: Apache-2.0
"""The tests' own code: nobody reaches into what another class or module keeps for itself."""
import ast
import glob
import os
import re

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# aioquic has no verbs for what a test's client must do; this file makes them of its privates.
OPENS_AIOQUIC = "h3test/quic.py"

PRIVATE = re.compile(r"_(?!_)")
PRIVATE_IN_A_PATH = re.compile(r"(^|\.)_(?!_)")
BY_NAME = {"getattr", "setattr", "delattr", "hasattr", "attrgetter", "methodcaller"}


class Privates(ast.NodeVisitor):
    """Collects where a file touches privates that are not its own, as (line, what)."""

    def __init__(self):
        self.found = []
        self._own = set()           # private names that the class around us has itself

    def visit_ClassDef(self, node):
        around, self._own = self._own, set(self._defined(node))
        self.generic_visit(node)
        self._own = around

    def _defined(self, node):
        for part in ast.walk(node):
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield part.name
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif (isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
                  and self._is_self(part.value)):
                yield part.attr

    @staticmethod
    def _is_self(node):
        return isinstance(node, ast.Name) and node.id in ("self", "cls")

    def visit_Attribute(self, node):
        if PRIVATE.match(node.attr) and not (
                self._is_self(node.value) and node.attr in self._own):
            self.found.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def visit_ImportFrom(self, node):
        self._names(node, [node.module or ""] + [alias.name for alias in node.names])

    def visit_Import(self, node):
        self._names(node, [alias.name for alias in node.names])

    def visit_Call(self, node):
        """Of an attribute that is called by its name, as monkeypatch.setattr() does."""
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        if called in BY_NAME:
            self._names(node, [arg.value for arg in node.args if isinstance(arg, ast.Constant)
                               and isinstance(arg.value, str)])
        self.generic_visit(node)

    def _names(self, node, names):
        self.found += [(node.lineno, name) for name in names if PRIVATE_IN_A_PATH.search(name)]


def privates(text):
    visitor = Privates()
    visitor.visit(ast.parse(text))
    return visitor.found


def test_nobody_reaches_into_privates():
    found = {}
    for path in glob.glob(TESTS + "/**/*.py", recursive=True):
        with open(path) as file:
            found[os.path.relpath(path, TESTS)] = privates(file.read())
    assert found.pop(OPENS_AIOQUIC), "then it needs no exception"
    found = {path: where for path, where in found.items() if where}
    assert not found, "the owners have no public verbs for that, or they are not used"


OF_OTHERS = {
    "a call": "conn._send(b'')",
    "in the middle of a path": "conn.quic._streams[0].sender.reset = None",
    "an assignment": "httpd._process = None",
    "of a module": "udp._crypto_frames(b'')",
    "an import": "from h3test.process import _environment",
    "an import of a module": "import aioquic._buffer",
    "an import from a module": "from aioquic._buffer import Buffer",
    "by name": "getattr(conn, '_encoder_stream')",
    "by name in a fixture": "monkeypatch.setattr(httpd, '_own', [])",
    "by name in a path": "operator.attrgetter('transport._receive')",
    "of the class above":
        "class Mine(Transport):\n    def flush(self):\n        self._receive()",
    "of super()": "class Mine(Quic):\n    def _initialize(self):\n        super()._initialize()",
    "of a self without a class": "def loose(self):\n    return self._buffer",
    "of another object of the class":
        "class Mine:\n    def __init__(self, mine):\n        self._a = mine._a",
}
ONES_OWN = {
    "attributes": "class Mine:\n    def __init__(self):\n        self._a, self._b = 1, 2\n"
                  "    def both(self):\n        return (lambda: self._a + self._b)()",
    "a method": "class Mine:\n    def _more(self):\n        return self._more",
    "a name of the module": "_given = set()\n_given.add(type(conn).__name__)",
    "nobody's name": "for _ in range(3):\n    pass",
}


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_others_keep_for_themselves(name):
    assert privates(OF_OTHERS[name])


@pytest.mark.parametrize("name", ONES_OWN)
def test_what_is_ones_own(name):
    assert not privates(ONES_OWN[name])
