"""ci/fuzz_files.py on few files: damaged files, and files that attack time or memory."""

import fuzz_files
import pytest


@pytest.mark.parametrize("name", fuzz_files.FORMATS)
@pytest.mark.parametrize("seed", [0, 1])
def test_damage_gives_an_error_or_the_right_data(tmp_path, name, seed):
    # Each damaged run goes on to its end.
    count = 40 if name == "run" else 150
    result = fuzz_files.damage(fuzz_files.FORMATS[name], count, seed, tmp_path)
    assert result.failures == []
    assert result.refused + result.equal == count
    assert result.equal > 0


@pytest.mark.parametrize("name", fuzz_files.FORMATS)
def test_hostile_files_cost_little(tmp_path, name):
    """The slowest opcodes take half a second a megabyte. Quadratic time would be minutes."""
    size = 30_000
    for attack, outcome, seconds, _, memory in fuzz_files.attacks(
        fuzz_files.FORMATS[name], size, tmp_path
    ):
        assert outcome in ("refused", "read"), attack
        assert seconds < 1, attack
        assert memory < 20, attack
