"""What `dir` lists of the schedules: themselves, as scripts that go through them expect."""

import inspect

from lamella.optimizers import schedules


def test_every_capital_name_is_a_schedule_with_a_docstring():
    found = [getattr(schedules, name) for name in dir(schedules) if name[0].isupper()]
    assert schedules.CosineDecay in found and len(found) >= 7
    assert all(inspect.isclass(each) and issubclass(each, schedules.LearningRateSchedule) for each in found)
    assert all(each.__doc__ for each in found)
