"""Parses and checks one document in a reader process, and evaluates its conditions."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.core.errors import GatewayError, Invalid
from gateway.documents.checks import check, is_too_large
from gateway.documents.condition_checks import ConditionTrial
from gateway.documents.graph_checks import only_targets
from gateway.documents.labels.filling import has_templated_labels, with_filled_labels
from gateway.documents.likely_mistakes import likely_mistakes
from gateway.documents.parsing import REPORTED_ERRORS, invalid_document, parse
from gateway.documents.partial_checks import PartialChecks
from gateway.settings import DocumentLimits
from gateway.submission.reading.messages import ReadReply, ReadRequest
from gateway.submission.reading.outline import encoded_items, outline_of, with_tenant
from gateway.submission.reading.try_conditions import try_conditions
from waypost.json_pointer import FieldError
from waypost.worker_process import Progress
from waypost.workflow.run_types import DeclaredExecutors


class DocumentRules(Struct, frozen=True, kw_only=True):
    """The limits, executors and regions that a reader process checks documents against."""

    limits: DocumentLimits
    executors: DeclaredExecutors
    engines: Mapping[str, str]
    """The engine of each region's cluster, by the region's name."""


def read_document(request: ReadRequest, rules: DocumentRules, progress: Progress) -> ReadReply:
    """Parses and checks one document; replies with its outline (one task of each type), or its errors."""
    try:
        return _read(request, rules, progress)
    except GatewayError as error:
        return ReadReply(reason=error.reason, detail=error.detail, errors=list(error.errors))


def _read(request: ReadRequest, rules: DocumentRules, progress: Progress) -> ReadReply:
    """Parses and checks a workflow document; returns its outline (what admission needs of it), or its errors.

    Errors are returned if the document fits the schema. For one that does not, `Malformed`, `TooLarge`,
    `UnsupportedMediaType` or `Invalid` is raised.
    """
    limits = rules.limits

    def tried(trial: ConditionTrial) -> list[FieldError]:
        return try_conditions(trial, limits=limits, fatal=request.fatal, progress=progress)

    rest = PartialChecks(limits, rules.executors, rules.engines)
    try:
        workflow = with_tenant(parse(request.body, request.media_type, limits, rest), request.tenant)
    except Invalid as error:
        # Where there are so many errors, not all of them are listed anyway.
        if rest.trial is None or not rest.trial.first or len(error.errors) >= REPORTED_ERRORS:
            raise
        raise invalid_document([*error.errors, *rest.independent(tried(rest.trial))]) from error
    canonical = msgspec.json.encode(workflow)
    errors = check(workflow, canonical, limits, rules.executors, rules.engines)
    if b'"when":' in canonical and not is_too_large(workflow, limits):
        errors += tried(ConditionTrial(workflow))
    name = workflow.metadata.name
    if errors:
        refused = invalid_document(errors)
        return ReadReply(name=name, reason=refused.reason, detail=refused.detail, errors=list(refused.errors))
    if request.for_run and (has_templated_labels(workflow) or workflow.spec.targets):
        # Policy, limits and all that follow see the workflow as it runs.
        workflow = only_targets(with_filled_labels(workflow))
        canonical = msgspec.json.encode(workflow)
    return ReadReply(
        name=name,
        outline=outline_of(workflow),
        canonical=canonical,
        items=encoded_items(workflow),
        task_count=len(workflow.spec.tasks),
        stage_tasks=workflow.stage_tasks,
        mistakes=list(likely_mistakes(workflow, canonical)),
    )
