"""Every step of ./run demo as a test of its own, on a cluster of its own."""
import pytest

from steps import STEPS, World


@pytest.mark.parametrize("letter", sorted(STEPS))
def test_step(letter, tmp_path):
    with World(tmp_path) as world:
        assert world.run(letter)
