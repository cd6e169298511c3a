"""Compiles the `when` conditions of a document, and evaluates those whose inputs are known.

It runs in a reader process: a condition that takes more than its budget ends the process, since the library
holds the interpreter's lock and only the kernel can stop it. Processor time is counted, so that a busy
machine makes no document fail.
"""

import signal
import time
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from gateway.documents.condition_checks import ConditionTrial
from gateway.settings import DocumentLimits
from waypost.condition_evaluation.expressions import answer
from waypost.condition_evaluation.messages import ConditionAnswer, ConditionQuestion
from waypost.json_pointer import FieldError
from waypost.worker_process import Progress


def try_conditions(
    trial: ConditionTrial, *, limits: DocumentLimits, fatal: Mapping[int, str], progress: Progress
) -> list[FieldError]:
    """Compiles all conditions of a document, evaluates those whose inputs are known; returns the errors.

    `fatal` are the errors of conditions that have ended a process, by number: they are not tried again.
    `progress` records the number of the condition that is tried, from 1.
    """
    tried = _ConditionEvaluation(trial, limits, fatal, progress)
    answers = tried.answer_in_time(trial.first, within_seconds=limits.conditions_seconds)
    further: list[ConditionAnswer] = []
    if len(answers) < len(trial.first):
        # The rest is only compiled, within as much time again.
        rest = [replace(question, compile_only=True) for question in trial.first[len(answers) :]]
        seconds = limits.conditions_seconds
        answers += tried.answer_in_time(rest, within_seconds=tried.spent_seconds + seconds)
        if len(answers) < len(trial.first):
            detail = f"the conditions take more than {2 * seconds:g} s of processor time"
            return [*trial.errors(answers, ()), FieldError("/spec/tasks", detail)]
    else:
        further = tried.answer_in_time(trial.further(answers), within_seconds=limits.conditions_seconds)
    return list(trial.errors(answers, further))


class _ConditionEvaluation:
    """Evaluates the conditions of one document, and measures the processor time that they take."""

    def __init__(
        self, trial: ConditionTrial, limits: DocumentLimits, fatal: Mapping[int, str], progress: Progress
    ) -> None:
        self._params, self._budget_seconds = trial.params, limits.condition_seconds
        self._fatal, self._progress = fatal, progress
        self._count = 0
        self._began = time.process_time()
        self._spent_on_fatal = 0.0

    @property
    def spent_seconds(self) -> float:
        """The processor seconds spent on all conditions so far, also on those that ended a process."""
        return time.process_time() - self._began + self._spent_on_fatal

    def answer_in_time(
        self, questions: Iterable[ConditionQuestion], *, within_seconds: float
    ) -> list[ConditionAnswer]:
        """Evaluates conditions in order; returns their answers, without the last ones if time runs out.

        It stops once `spent_seconds` has come to `within_seconds`; the document's first condition is always
        tried.
        """
        answers: list[ConditionAnswer] = []
        for question in questions:
            # The first one is tried in any case.
            if self._count and self.spent_seconds >= within_seconds:
                break
            answers.append(self._answer(question))
        return answers

    def _answer(self, question: ConditionQuestion) -> ConditionAnswer:
        self._count += 1
        if self._count in self._fatal:
            self._spent_on_fatal += self._budget_seconds
            return ConditionAnswer(error=self._fatal[self._count])
        self._progress(self._count)
        signal.setitimer(signal.ITIMER_PROF, self._budget_seconds)
        try:
            return answer(question, self._params)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
