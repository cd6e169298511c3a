"""Writes a package with functions for `python` tasks, and an interpreter that finds it."""

import sys
from pathlib import Path

MODULE = """
import os, signal, subprocess, sys, time
from os import system, getcwd as borrowed

SEEN = []

def add(first, second):
    print("adding", first, second)
    return {"sum": first + second}

async def later():
    return "later"

def remember(word):
    SEEN.append(word)
    return {"pid": os.getpid(), "seen": SEEN}

def sees():
    import json
    found = json.load(open(os.environ["WAYPOST_INPUT"]))
    return {"input": found, "environment": sorted(os.environ), "directory": os.getcwd()}

def fail():
    raise KeyError("no such table")

def leave():
    sys.exit(7)

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)

def vanish():
    os._exit(9)

def eat():
    return len(bytearray(1 << 31))

def endless(seconds=300):
    subprocess.Popen(["sleep", str(seconds)])
    time.sleep(seconds)

def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "300"])
        os._exit(0)
    os.wait()

def forked():
    # It keeps the environment that the worker was started with, since it executes no other program.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    os.wait()

def child():
    return subprocess.Popen(["sleep", "300"]).pid

def flood():
    for _ in range(20_000):
        print("x" * 1_000)
    print("last")

def large():
    return "x" * 70_000

def odd():
    return {1, 2}

def endless_number():
    return float("inf")

def nothing():
    pass

def closes():
    sys.stdout.close()
"""


def interpreter(folder: Path) -> str:
    """Writes the package `acme` into `folder`; returns the path of an interpreter with it."""
    package = folder / "site" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text(MODULE)
    code = f"import runpy, sys; sys.path.append('{package.parent}'); sys.argv = sys.argv[2:]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o700)
    return str(program)
