"""Child processes end with their caller, whenever that is ended."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from sim.verilator.processes import running


@pytest.fixture
def interruptible():
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    yield
    signal.signal(signal.SIGINT, previous)


def test_a_signal_while_a_process_begins_leaves_none(interruptible, monkeypatch, tmp_path):
    begun = []

    class Interrupted(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            begun.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt), running(["sleep", "600"], cwd=tmp_path, env=os.environ):
        pytest.fail("the block is not entered")
    assert [process.returncode for process in begun] == [-signal.SIGKILL]


def test_a_signal_while_a_process_cannot_begin_is_not_lost(interruptible, monkeypatch, tmp_path):
    def missing(*_, **__):
        signal.raise_signal(signal.SIGINT)
        raise FileNotFoundError("no such program")

    monkeypatch.setattr(subprocess, "Popen", missing)
    with pytest.raises(KeyboardInterrupt), running(["missing"], cwd=tmp_path, env=os.environ):
        pytest.fail("the block is not entered")
