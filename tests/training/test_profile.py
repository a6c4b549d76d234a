"""Profiles hold the steps that were asked for, in a form that xprof reads."""

import fake_bucket
import jax
import pytest

from tfmr.config import TrainingConfig
from tfmr.errors import InputError
from tfmr.runs.storage import AnyPath, storage_path
from tfmr.training.profile import Profile


def profiled_steps(folder: AnyPath) -> set[int]:
    """The numbers of the steps in the only profile below a folder."""
    (file,) = (folder / "plugins" / "profile").glob("*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_serialized_xspace(file.read_bytes())
    events = [event for plane in data.planes for line in plane.lines for event in line.events]
    return {dict(event.stats)["step_num"] for event in events if event.name == "train"}


def run_steps(profile: Profile, last: int) -> None:
    """Runs steps as training does."""
    for step in range(1, last + 1):
        if profile.starts_at(step):
            profile.start()
        with profile.step(step):
            jax.numpy.add(step, 1).block_until_ready()
        if profile.ends_at(step):
            profile.close()


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        pytest.param(5, {2, 3}, id="whole", marks=pytest.mark.slow),
        pytest.param(2, {2}, id="cut short"),
    ],
)
def test_it_holds_its_steps(last, expected, tmp_path, monkeypatch):
    fake_bucket.install(monkeypatch, tmp_path)
    for folder in (tmp_path / "profile", storage_path("gs://bucket/run/profile")):
        reported = []
        profile = Profile((2, 3), folder, reported.append)
        run_steps(profile, last)
        profile.close()
        assert profiled_steps(folder) == expected
        assert reported == [f"profile: {folder}; open it with xprof --logdir {folder}"]


def test_without_steps_there_is_none(tmp_path):
    profile = Profile(None, tmp_path / "profile", print)
    run_steps(profile, 3)
    profile.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["5", "5:", "0:3", "4:3", "3:41", "a:b", "3:4:5", "-1:4", "3 :4"])
def test_what_is_no_range_of_steps_is_refused(text):
    with pytest.raises(InputError) as refused:
        TrainingConfig(steps=40, profile_steps=text)
    fix = "must be FIRST:LAST, such as 50:54, with 1 <= FIRST <= LAST <= training.steps = 40"
    assert str(refused.value) == f"training.profile_steps = {text!r}: {fix}"


def test_a_range_of_steps_is_read():
    assert TrainingConfig(steps=40, profile_steps="3:40").profiled == (3, 40)
    assert TrainingConfig(steps=40, profile_steps="7:7").profiled == (7, 7)
    assert TrainingConfig().profiled is None
