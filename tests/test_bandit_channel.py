"""Channels: what each can carry becomes rules between arms, found out when the campaign file is read."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Context
from bandit.errors import InvalidCampaign
from bandit.fatigue import Cap, Sent, free_from

QUIET = {"id": "no_send", "no_send": True}
LONG = {"id": "long", "text": "L" * 200}
CHANNELS = {
    "sms": {"longest": {"subject": 160}, "quiet_hours": {"from": "18:00", "until": "10:00"}},
    "push": {"slots": ["weekend-17"]},
}


def parts(worlds, channel=("email", "sms", "push", QUIET), subject=({"id": "short", "text": "Hi"}, LONG)):
    """Channel, subject and send slot."""
    return [
        worlds.dimension("channel", *channel),
        worlds.dimension("subject", *subject),
        worlds.dimension("send_slot", "weekday-09", "weekday-12", "weekend-17"),
    ]


@pytest.fixture
def campaign(worlds):
    """Three channels of which two have limits."""
    return worlds.campaign(dimension=parts(worlds), channels=CHANNELS, send_slots={})


def test_no_choice_ever_has_an_arm_that_its_channel_does_not_take(campaign, worlds):
    engine, seen = worlds.engine(campaign), set()
    for i in range(400):
        found = engine.decide(f"c{i}", Context.of(), decision_id=f"d{i}", at=worlds.noon)
        seen.add(tuple(found.choice.values()))
    by_channel = {channel: {choice[1:] for choice in seen if choice[0] == channel} for channel, *_ in seen}
    every = {(text, hour) for text in ("short", "long") for hour in ("weekday-09", "weekday-12", "weekend-17")}
    assert by_channel == {
        "email": every,
        "sms": {("short", "weekday-12"), ("short", "weekend-17")},
        "push": {("short", "weekend-17"), ("long", "weekend-17")},
        "no_send": {("no_send", "no_send")},
    }


def test_what_an_arm_asks_of_the_channel_itself_holds_too(worlds):
    subjects = (
        {"id": "short", "requires": {"channel": ["sms", "email", "push"]}},
        {**LONG, "requires": {"channel": ["email"]}},
    )
    found = worlds.campaign(dimension=parts(worlds, subject=subjects), channels={"sms": CHANNELS["sms"]}, send_slots={})
    assert [sorted(arm.requires["channel"]) for arm in found.dimensions[1].arms[:2]] == [
        ["email", "push", "sms"],
        ["email"],
    ]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"channels": {"fax": {}}}, "an arm of the dimension channel: email, sms, push"),
        ({"channels": {"sms": {"longest": {"body": 160}}}}, "stands later in the file than channel"),
        ({"channels": {"sms": {"longest": {"subject": 0}}}}, "from 1 on"),
        ({"channels": {"sms": {"slots": ["noon"]}}}, "arms of send_slot"),
        ({"channels": {"sms": {"most": 1}}}, "here stand longest, quiet_hours, slots"),
        ({"channels": {"sms": {"longest": {"subject": 1}}}}, "no arm of subject"),
        (
            {"channels": {one: {"longest": {"subject": 160}} for one in ("email", "sms", "push")}},
            "that no channel takes",
        ),
        ({"channels": {"sms": {"slots": ["weekday-09"]}}, "send_slots": None}, "a [send_slots] table"),
        ({"channels": CHANNELS, "policy": {"interactions": False}}, "while channels limit arms"),
        ({"limits": {"caps": [{"most": 1, "within": "7d", "channel": "fax"}]}}, "an arm of the dimension channel"),
        (
            {
                "channels": CHANNELS,
                "groups": {
                    "control": {
                        "share": 0.1,
                        "choice": {"channel": "sms", "subject": "long", "send_slot": "weekday-12"},
                    }
                },
            },
            "an arm that sms takes",
        ),
    ],
)
def test_each_fault_is_named(worlds, sections, said):
    with pytest.raises(InvalidCampaign) as found:
        worlds.campaign(**{"dimension": parts(worlds, channel=("email", "sms", "push")), "send_slots": {}, **sections})
    assert said in str(found.value)


def test_channels_stand_before_what_they_limit(worlds):
    dimensions = list(reversed(parts(worlds)))
    with pytest.raises(InvalidCampaign, match="stands later in the file than channel: none does"):
        worlds.campaign(dimension=dimensions, channels={"sms": {"longest": {"subject": 160}}})


sends = st.lists(
    st.builds(
        lambda hours, channel, own: (hours, channel, own),
        st.integers(-200, 200), st.sampled_from(["sms", "email"]), st.booleans(),
    ),
    max_size=8,
)  # fmt: skip
caps = st.lists(
    st.builds(
        Cap,
        st.integers(1, 3),
        st.integers(1, 100).map(lambda hours: timedelta(hours=hours)),
        st.sampled_from(["", "sms", "email"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)


@given(sends, caps, st.sampled_from(["sms", "email"]))
def test_a_message_at_the_time_that_caps_leave_breaks_none_that_was_kept_before(worlds, sends, caps, channel):
    others = [Sent(worlds.noon + timedelta(hours=hours), name, own) for hours, name, own in sends]
    at = free_from(caps, Sent(worlds.noon, channel), others)
    assert at >= worlds.noon
    for cap in caps:
        counted = [one.at for one in others if cap.counts(one)]
        mine = cap.channel in {"", channel}
        for end in [*counted, at]:
            before = sum(end - cap.within < one <= end for one in counted)
            after = before + (mine and end - cap.within < at <= end)
            assert after <= max(cap.most, before)


def test_a_gap_is_one_message_in_any_stretch_so_long(worlds):
    limits = worlds.campaign(limits={"gap": "24h"}).limits
    assert limits.caps == (Cap(1, timedelta(hours=24)),)
    assert limits.free_from(worlds.noon, [worlds.noon - timedelta(hours=1)]) == worlds.noon + timedelta(hours=23)
