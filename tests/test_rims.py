"""Where any exception at all is caught: at the rims, where a defect must not end more than it has to, and nowhere else.

The three rims are a loop that works for a model (in a worker, or on a thread that asks one over HTTP), the loop of a
recording, and a door. A handler that raises again only tidies up and counts for nothing.
"""

import ast
from collections.abc import Iterator

from tests.support import ROOT

RIMS = {
    "worker loop": {
        "runtime/worker.py:_run",
        "runtime/worker.py:_learn",
        "runtime/remote.py:_ask",
        "runtime/remote.py:_watch",
        "runtime/correcting.py:_correct",
    },
    "driver loop": {
        "runtime/driver.py:run",
        "runtime/job_runner.py:_attempt",  # of a file that nobody waits for
    },
    "door": {
        "doors/sockets.py:_handled",  # one Socket.IO event
        "runtime/connection.py:_carry_out",  # one message of a raw WebSocket
        "doors/answers.py:failed",  # one request
        "doors/nls.py:broken",
        "doors/openai.py:broken",
        "doors/openai.py:_events",  # one stream, whose status has been sent
        "doors/openai_realtime.py:broken",
    },
}

BROAD = {"Exception", "BaseException"}


def names(node: ast.expr | None) -> set[str]:
    """What a handler says that it catches; a bare one says nothing and catches all."""
    if node is None:
        return {"BaseException"}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def broad(source: str) -> Iterator[str]:
    """The functions around, or that are, handlers of everything that end without raising again."""

    def within(node: ast.AST, function: str) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.ExceptHandler) and names(node.type) & BROAD:
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield function
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("suppress", "errorhandler"):
            yield from (function for argument in node.args if names(argument) & BROAD)
        for child in ast.iter_child_nodes(node):
            yield from within(child, function)

    return within(ast.parse(source), "")


def test_everything_is_caught_at_the_rims_only() -> None:
    package = ROOT / "xingji"
    found = {
        f"{path.relative_to(package).as_posix()}:{function}"
        for path in sorted(package.rglob("*.py"))
        for function in broad(path.read_text("utf-8"))
    }
    assert found == set().union(*RIMS.values())


def test_what_counts_as_catching_everything() -> None:
    caught = "def f():\n    try:\n        pass\n    except {}:\n        {}\n"
    assert list(broad(caught.format("Exception", "pass"))) == ["f"]
    assert list(broad(caught.format("(ValueError, Exception) as e", "raise OSError from e"))) == ["f"]
    assert list(broad("try:\n    pass\nexcept:\n    pass\n")) == [""]
    assert list(broad("def g():\n    with suppress(Exception):\n        pass\n")) == ["g"]
    assert list(broad("@app.errorhandler(Exception)\ndef h(error):\n    pass\n")) == ["h"]
    assert list(broad(caught.format("BaseException", "raise"))) == []
    assert list(broad(caught.format("ValueError", "pass"))) == []
