"""PyTorch's table of modules: every entry passes, or stands in the ledger."""

import pytest

from tests.parity import tables


@pytest.mark.timeout(900)
def test_modules(capsys):
    full = tables.full_wanted()
    run = tables.run_table("modules", full=full)
    with capsys.disabled():
        print(f"\n{run.totals()}")
    assert len(run.found) > 100
    assert not (told := tables.difference(run, full)), told
