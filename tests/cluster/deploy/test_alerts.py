"""Each alert rule, by Prometheus' own tool: when it is raised, and above all when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.deploy.test_monitoring import ALERTS, needs_promtool, promtool

RULES = {rule["alert"]: rule for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a study told, a sample a minute, and the hours after its beginning when an alert is raised and when not.

    Attributes:
        series: values by the name and labels that follow `ray_recombine_`. `a+bxn` begins with a and adds b n times,
            `axn` is a and n times more, `_xn` n samples that are missing, `stale` the end of a series.
    """

    series: Mapping[str, str]
    raised_h: tuple[float, ...] = ()
    silent_h: tuple[float, ...] = field(default=(0.5, 1, 2, 3, 4, 6))


FAILED, FINISHED = 'trials_ended{state="failed"}', 'trials_ended{state="finished"}'
DIVERGED = 'trials_ended{state="diverged"}'
RUNNING, RETRIED = 'trials_running{WorkerId="a"}', "trials_retried{}"
BEGAN, ENDED = 'began_at_s_total{WorkerId="a"}', 'ended_at_s_total{WorkerId="a"}'
RUNNING_AGAIN, BEGAN_AGAIN, ENDED_AGAIN = (name.replace('"a"', '"b"') for name in (RUNNING, BEGAN, ENDED))
# A driver that is there for an hour; its node goes on telling the counters of it.
AN_HOUR = {RUNNING: "2x60 stale", BEGAN: "1000x1700"}
# Another one, half an hour later.
ANOTHER = {RUNNING_AGAIN: "_x90 2x90 stale", BEGAN_AGAIN: "_x90 6400x1700"}

STORIES: dict[str, dict[str, Story]] = {
    "RecombineNothingEnds": {
        "nothing ends after the first hour": Story(
            series={RUNNING: "2x460", FINISHED: "0+1x60 60x400"}, raised_h=(3.25, 6), silent_h=(1, 2, 3)
        ),
        "and a scrape fails": Story(
            series={RUNNING: "2x90 _x6 2x300", FINISHED: "0+1x60 60x30 _x6 60x300"},
            raised_h=(3.25, 6),
            silent_h=(1, 2, 3),
        ),
        "one ends in an hour": Story(series={RUNNING: "2x460", FINISHED: "0x40 1x60 2x60 3x60 4x60 5x60 6x60"}),
        "nothing runs": Story(series={RUNNING: "0x460", FINISHED: "9x460"}),
        "it was begun again": Story(
            series={RUNNING: "2x90 stale", RUNNING_AGAIN: "_x100 2x70", FINISHED: "0+1x60 60x110"}, silent_h=(2, 2.8)
        ),
    },
    "RecombineStudyLeft": {
        "the driver dies": Story(series=AN_HOUR, raised_h=(1.25, 2, 24), silent_h=(0.5, 1, 1.1, 26)),
        "the study ends": Story(series=AN_HOUR | {ENDED: "_x59 4500x1700"}),
        "the driver dies, another goes on": Story(
            series=AN_HOUR | ANOTHER | {ENDED_AGAIN: "_x180 11700x300"}, raised_h=(1.4,), silent_h=(1, 1.6, 2.5, 3.5, 6)
        ),
        "an ended study is gone on with, and that driver dies": Story(
            series=AN_HOUR | ANOTHER | {ENDED: "_x59 4500x1700"}, raised_h=(3.5, 6), silent_h=(1.5, 2, 3.1)
        ),
        "its cluster is taken down": Story(series=AN_HOUR | {BEGAN: "1000x60 stale"}),
    },
    "RecombineNoSlots": {
        "all are lost": Story(
            series={'slots{state="busy"}': "2x120 0x240", 'slots{state="missing"}': "0x120 2x240"},
            raised_h=(2.5, 6),
            silent_h=(1, 2, 2.25),
        ),
        "one is left": Story(series={'slots{state="busy"}': "2x120 0x240", 'slots{state="idle"}': "0x120 1x240"}),
    },
    "RecombineTrialsFail": {
        "half of them": Story(series={FINISHED: "0+1x400", FAILED: "0+1x400"}, raised_h=(0.5, 1, 6), silent_h=(0.1,)),
        "one of two": Story(series={FINISHED: "0x30 1x400", FAILED: "0x20 1x400"}),
        "one of ten": Story(series={FINISHED: "0x10 9x400", FAILED: "0x20 1x400"}),
        "half of them diverge": Story(series={FINISHED: "0+1x400", DIVERGED: "0+1x400", FAILED: "0x400"}),
        "those of runs before": Story(series={FINISHED: "9x400", FAILED: "90x400"}),
    },
    "RecombineProcessesDie": {
        "one after the other": Story(series={RETRIED: "0+1x10 10x400"}, raised_h=(0.5, 1), silent_h=(0.05, 2, 6)),
        "a node with packs of eight": Story(series={RETRIED: "0x20 16x400"}),
        "one in an hour": Story(series={RETRIED: "0x30 1x60 2x60 3x60 4x60 5x60 6x60"}),
    },
}


def raised_by(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What a rule tells about the study of the stories."""
    words = {key: text.replace("{{ $labels.study }}", "s") for key, text in rule["annotations"].items()}
    return {"exp_labels": {"severity": "warning", "study": "s"}, "exp_annotations": words}


def as_test(alert: str, name: str, story: Story) -> dict[str, Any]:
    """A story in the words of promtool."""
    series = [
        {"series": f"ray_recombine_{key}".replace("{", '{study="s",'), "values": values}
        for key, values in story.series.items()
    ]
    told = [raised_by(RULES[alert])]
    expected = [*((h, told) for h in story.raised_h), *((h, []) for h in story.silent_h)]
    alerts = [{"eval_time": f"{round(60 * h)}m", "alertname": alert, "exp_alerts": found} for h, found in expected]
    return {"name": f"{alert}: {name}", "interval": "1m", "input_series": series, "alert_rule_test": alerts}


def test_every_rule_says_what_to_do_and_has_stories_with_and_without_it() -> None:
    assert set(RULES) == set(STORIES)
    assert all(set(rule["annotations"]) == {"summary", "remedy"} for rule in RULES.values())
    for stories in STORIES.values():
        assert any(story.raised_h for story in stories.values())
        assert any(not story.raised_h for story in stories.values())


@needs_promtool
@pytest.mark.parametrize("alert", STORIES)
def test_a_rule_is_raised_when_it_should_be_and_only_then(alert: str, tmp_path: Path) -> None:
    tests = [as_test(alert, name, story) for name, story in STORIES[alert].items()]
    done = promtool(tmp_path, {"rule_files": [str(ALERTS)], "tests": tests})
    assert done.returncode == 0, done.stdout + done.stderr
