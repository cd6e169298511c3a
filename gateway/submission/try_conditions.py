"""Tries the conditions of a submission: compiles them all, and evaluates those whose inputs are known."""

from msgspec.structs import replace

from gateway.core.errors import TooManyRequests, Unavailable
from gateway.documents.condition_checks import ConditionTrial
from gateway.settings import DocumentLimits
from waypost.condition_evaluation.evaluator import ConditionEvaluator
from waypost.condition_evaluation.messages import ConditionAnswer
from waypost.json_pointer import FieldError
from waypost.worker_pool import WorkerBusy, WorkerError


async def try_conditions(
    trial: ConditionTrial, *, evaluator: ConditionEvaluator, tenant: str, limits: DocumentLimits
) -> list[FieldError]:
    """Returns the errors that trying the conditions brings, on behalf of `tenant`.

    Raises `Unavailable` where no process can be asked, `TooManyRequests` where too many submissions of the
    tenant wait for one.
    """
    params, seconds = trial.params, limits.conditions_seconds
    further: list[ConditionAnswer] = []
    try:
        first = await evaluator.evaluate(trial.first, params, caller=tenant, total_seconds=seconds)
        answers, left = first.answers, seconds - first.processor_seconds
        if not first.complete:
            # The rest is only compiled, within as much time again.
            rest = [replace(question, compile_only=True) for question in trial.first[len(answers) :]]
            compiled = await evaluator.evaluate(rest, {}, caller=tenant, total_seconds=seconds)
            answers = answers + compiled.answers
            if not compiled.complete:
                detail = f"the conditions take more than {2 * seconds:g} s of processor time"
                return [*trial.errors(answers, ()), FieldError("/spec/tasks", detail)]
        elif left > 0:
            found = await evaluator.evaluate(
                trial.further(answers), params, caller=tenant, total_seconds=left
            )
            further = found.answers
    except WorkerBusy as error:
        kind = TooManyRequests if error.caller else Unavailable
        raise kind(f"conditions cannot be tried now: {error}") from error
    except WorkerError as error:
        raise Unavailable(f"conditions cannot be tried now: {error}") from error
    return list(trial.errors(answers, further))
