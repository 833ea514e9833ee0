"""Threads, signals, forks, and the end of the interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from conftest import SMALL, TEXT, python

import retrograd as rg

#: The promise is one second; a machine that does other things too may take longer.
SECONDS = 1.0 if os.environ.get("RETROGRAD_LONG") else 5.0
LONG = 'rg.train("book.txt", hidden=64, updates=10**7, device="cpu", progress=False, out="run")'


def test_trainings_in_threads_are_as_alone() -> None:
    alone = [rg.train(text=TEXT, seed=i, **SMALL).model for i in range(4)]
    found: dict[int, rg.Model] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: rg.train(text=TEXT, seed=i, **SMALL).model})) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert [found[i] for i in range(4)] == alone


def test_the_interpreter_goes_on_meanwhile() -> None:
    done = threading.Event()
    thread = threading.Thread(target=lambda: (rg.train(text=TEXT * 20, hidden=64, updates=150, device="cpu", progress=False), done.set()))
    thread.start()
    ticks, longest, last = 0, 0.0, time.monotonic()
    while not done.is_set():
        time.sleep(0.001)
        now = time.monotonic()
        ticks, longest, last = ticks + 1, max(longest, now - last), now
    thread.join()
    assert ticks > 20 and longest < SECONDS, (ticks, longest)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals of this kind")
@pytest.mark.parametrize("hidden", ["64", "768, batch=128, truncation='regular:512'"])
def test_ctrl_c_saves_and_raises_within_a_second(book: Path, hidden: str) -> None:
    code = f"""
    import retrograd as rg, time
    print("begins", flush=True)
    try:
        {LONG.replace("64", hidden, 1)}
    except KeyboardInterrupt as e:
        print("stopped", time.time(), *e.__notes__, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begins\n"
    while not Path("run/checkpoint.safetensors").exists():
        time.sleep(0.05)
    time.sleep(1)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[0].split()
    assert told[0] == "stopped" and "go" in told, told
    assert float(told[1]) - sent < SECONDS, float(told[1]) - sent
    assert rg.load("run").config["predicts"] == "text" and "checkpoint.safetensors" in {p.name for p in Path("run").iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_after_use_is_refused_with_a_message() -> None:
    code = """
    import retrograd as rg, os, sys
    pid = os.fork()
    if pid == 0:
        rg.train(text="abc" * 400, hidden=4, updates=2, progress=False)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7, "before use it works"
    rg.train(text="abc" * 400, hidden=4, updates=2, progress=False)
    if os.fork() == 0:
        try:
            rg.train(text="abc" * 400, hidden=4, updates=2, progress=False)
        except RuntimeError as e:
            print(e, flush=True)
        sys.exit(0)
    os.wait()
    """
    done = python(textwrap.dedent(code))
    assert "forked" in done.stdout and "spawn" in done.stdout and done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("daemon", [True, False])
def test_the_interpreter_ends_while_a_thread_trains(book: Path, daemon: bool) -> None:
    code = f"""
    import retrograd as rg, threading, time, pathlib
    threading.Thread(target=lambda: {LONG if daemon else LONG.replace("10**7", "300")}, daemon={daemon}).start()
    while not pathlib.Path("run/model.safetensors").exists(): time.sleep(0.05)
    """
    done = python(textwrap.dedent(code), timeout=60)
    assert done.returncode == 0 and "anic" not in done.stderr and "Fatal" not in done.stderr, done.stderr
    assert rg.load("run").config["hidden"] == 64
