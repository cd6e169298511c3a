"""What tasks wrote to a file while their cluster was killed again and again, and what must hold of that."""

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from waypost.workflow.stages import name_in_gateway, shard_name

NOTE: Final = """
log=$1; took=$2
note() { echo "$1 $WAYPOST_RUN $WAYPOST_SHARD $WAYPOST_TASK $WAYPOST_EPOCH $WAYPOST_TRY" >> "$log"; }
note start; sleep "$took"; note end
"""
"""The script of a task: one line when it starts, one when it ends; the arguments are the file and seconds."""

TaskKey: TypeAlias = tuple[str, str, str]
"""A task in the world: the id of its run, the name of its shard, its own name."""


class Effect(Struct, frozen=True):
    """One line of the file: a start or an end, of which try, and where in the file."""

    word: str
    task: TaskKey
    epoch: int
    number: int
    line: int


class Kill(Struct, frozen=True):
    """A kill of the cluster: what its journal held as finished, and how many lines tasks had written."""

    finished: frozenset[TaskKey]
    lines: int


def command(log: Path, seconds: float) -> list[str]:
    return ["sh", "-c", NOTE, "note", str(log), f"{seconds:.3f}"]


def effects(log: Path) -> list[Effect]:
    """Returns the starts and ends that tasks wrote, in the order in which they wrote them."""
    found = []
    for at, line in enumerate(log.read_text().splitlines() if log.exists() else ()):
        word, run, shard, task, epoch, number = line.split()
        found.append(Effect(word, (run, shard, task), int(epoch), int(number), at))
    return found


def journalled(journal: Path) -> frozenset[TaskKey]:
    """Returns the tasks whose results a journal holds.

    Reads a copy: SQLite would change what a killed cluster has left.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in journal.parent.glob(f"{journal.name}*"):
            shutil.copy(path, folder)
        db = sqlite3.connect(Path(folder) / journal.name)
        rows = db.execute("select run, shard, task from task where result is not null").fetchall()
        db.close()
    found = []
    for name, index, task in rows:
        run, shard = name_in_gateway(name, index)
        found.append((run, shard_name(shard), task))
    return frozenset(found)


def faults_of(
    written: Sequence[Effect], kills: Sequence[Kill], needs: Mapping[TaskKey, Sequence[TaskKey]]
) -> list[str]:
    """Returns what must not have happened: a finished task that ran again, a try that ran twice, two at once.

    `needs` has every task that was to run, and those that it needs.
    """
    starts, ends = defaultdict[TaskKey, list[Effect]](list), defaultdict[TaskKey, list[Effect]](list)
    for effect in written:
        (starts if effect.word == "start" else ends)[effect.task].append(effect)
    found = [f"{task} never ended" for task in needs if not ends[task]]
    found += [f"{task} ran, and was in no document" for task in starts if task not in needs]
    for number, kill in enumerate(kills):
        found += [
            f"{one} again, which was in the journal at kill {number}"
            for task in kill.finished
            for one in starts[task]
            if one.line >= kill.lines
        ]
    for task, begun in starts.items():
        tries = [(one.epoch, one.number) for one in begun]
        found += [f"{task} ran a try twice: {tries}"] if len(set(tries)) < len(tries) else []
        for first, second in pairwise(begun):
            if not any(first.line < kill.lines <= second.line for kill in kills):
                found.append(f"{second} after {first}, without a kill between them")
        for need in needs.get(task, ()):
            if ends[need] and ends[need][0].line > begun[0].line:
                found.append(f"{begun[0]} before the end of {need}")
    return found
