"""Tests rules that have not been renewed for longer than their maximum age."""

from pathlib import Path

import pytest
from msgspec import structs

from gateway.core.decision import TOO_OLD, Action, Question
from gateway.core.errors import Unavailable
from gateway.policy.embedded.engine import EmbeddedPolicyEngine
from gateway.policy.rollout.bundle_states import Step
from gateway.policy.rollout.chosen_engine import ChosenEngine
from gateway.submission.authorize import authorize
from tests.conformance.policy_engine import submission
from tests.gateway.policy.rollout.releases import ADA, archive, opened

GOES_ON = set(Action) - {Action.RUNS_SUBMIT, Action.RUNS_RETRY}


def asked(action: Action, at: float) -> Question:
    return structs.replace(submission(at=at), action=action)


async def test_submissions_end_when_the_rules_are_too_old_and_nothing_else_does(tmp_path: Path) -> None:
    """A gateway that nobody reaches any more must not go on for ever; what was accepted goes on."""
    seen = list[float]()
    async with opened(tmp_path, maximum_age_seconds=100, on_in_force=seen.append) as gateway:
        in_time, late = ADA.at + 100, ADA.at + 101
        await gateway.rollout.upload(archive(1), ADA)
        await gateway.step(Step.ACTIVATE, 1)
        assert seen[-1] == ADA.at
        for action in Action:
            assert (await gateway.chosen.decide(asked(action, in_time))).allow
            decision = await gateway.chosen.decide(asked(action, late))
            assert (decision.allow, decision.fault) == ((True, "") if action in GOES_ON else (False, TOO_OLD))
        with pytest.raises(Unavailable, match="bundle_maximum_age_seconds"):
            await authorize(asked(Action.RUNS_SUBMIT, late), policy=gateway.chosen)
    async with opened(tmp_path, maximum_age_seconds=100) as gateway:
        assert (await gateway.chosen.decide(asked(Action.RUNS_SUBMIT, late))).fault == TOO_OLD
        act = structs.replace(ADA, at=late)
        await gateway.rollout.take(Step.ROLL_BACK, 1, act, expected=2)
        assert (await gateway.chosen.decide(asked(Action.RUNS_SUBMIT, late))).rules == ("base",)


async def test_what_a_gateway_starts_with_is_as_old_as_its_start() -> None:
    """Nothing else is known of a folder."""
    async with ChosenEngine(EmbeddedPolicyEngine(), since=1_000.0, maximum_age_seconds=10) as chosen:
        assert (await chosen.decide(asked(Action.RUNS_SUBMIT, 1_011.0))).fault == TOO_OLD
        assert (await chosen.decide(asked(Action.RUNS_SUBMIT, 1_010.0))).fault == ""
