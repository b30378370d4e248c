"""PyTorch's table of optimisers: every entry passes, or stands in the ledger."""

import pytest

from tests.parity import tables


@pytest.mark.timeout(900)
def test_optim(capsys):
    full = tables.full_wanted()
    run = tables.run_table("optim", full=full)
    with capsys.disabled():
        print(f"\n{run.totals()}")
    assert len(run.found) > 10
    assert not (told := tables.difference(run, full)), told
