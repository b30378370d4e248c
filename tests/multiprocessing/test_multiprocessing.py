"""Processes of a program with tensors: shared memory, queues, `spawn` and its errors."""

import os
import signal

import pytest

import rushlight as torch
from rushlight import multiprocessing as mp
from rushlight import nn


def add_one(x, rounds=3):
    for _ in range(rounds):
        x.add_(1)


def test_forked_processes_write_to_shared_memory():
    context = mp.get_context("fork")
    shared, own = torch.zeros(3, 2).share_memory_(), torch.zeros(3, 2)
    assert shared.is_shared() and not own.is_shared()
    for x in (shared, own):
        process = context.Process(target=add_one, args=(x,))
        process.start()
        process.join()
        assert process.exitcode == 0
    assert shared.tolist() == [[3.0, 3.0]] * 3
    assert own.tolist() == [[0.0, 0.0]] * 3


def train(model, steps):
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = ((model(torch.ones(4, 2)) - 3.0) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def test_a_shared_model_is_trained_by_a_child():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    alone = nn.Linear(2, 1)
    alone.load_state_dict(model.state_dict())
    model.share_memory()
    assert all(p.is_shared() and p.requires_grad for p in model.parameters())
    process = mp.get_context("fork").Process(target=train, args=(model, 20))
    process.start()
    process.join()
    train(alone, 20)
    assert torch.equal(model.weight, alone.weight) and torch.equal(model.bias, alone.bias)
    train(model, 1)
    train(alone, 1)
    assert torch.equal(model.weight, alone.weight)


def send(queue, shared, received):
    queue.put((torch.arange(6).reshape(2, 3), shared[1]))
    queue.put({"wide": torch.ones(3, dtype=torch.float64), "none": torch.empty(0, 4)})
    received.wait(60)  # shared memory is handed over while its sender lives


def test_tensors_go_through_queues():
    context = mp.get_context("fork")
    queue, received = context.Queue(), context.Event()
    shared = torch.zeros(2, 3).share_memory_()
    process = context.Process(target=send, args=(queue, shared, received))
    process.start()
    copied, row = queue.get(timeout=60)
    other = queue.get(timeout=60)
    received.set()
    process.join()
    assert copied.tolist() == [[0, 1, 2], [3, 4, 5]] and not copied.is_shared()
    assert other["wide"].dtype == torch.float64 and other["none"].shape == (0, 4)
    assert row.is_shared()
    row.fill_(7)
    assert shared.tolist() == [[0.0] * 3, [7.0] * 3]


def increments(rank, x, model):
    x += rank + 1
    with torch.no_grad():
        model.weight[0, rank] = 5.0


def test_what_a_process_is_started_with_is_shared(monkeypatch):
    monkeypatch.delenv("RUSHLIGHT_COMPILE_FREE", raising=False)
    x, model = torch.zeros(2), nn.Linear(2, 1)
    mp.spawn(increments, args=(x, model), nprocs=1)
    assert x.tolist() == [1.0, 1.0] and x.is_shared()
    assert model.weight[0, 0].item() == 5.0


def fails(rank):
    if rank == 1:
        raise ValueError("no luck")


def dies(rank):
    os.kill(os.getpid(), signal.SIGTERM if rank else signal.SIGKILL)


def leaves(rank):
    os._exit(3)


@pytest.mark.parametrize(
    ("target", "kind", "words"),
    [
        (fails, "ProcessRaisedException", "(?s)-- Process 1 terminated.*ValueError: no luck"),
        (leaves, "ProcessExitedException", "process 0 terminated with exit code 3"),
    ],
)
def test_failures_are_told(target, kind, words):
    with pytest.raises(getattr(mp, kind), match=words):
        mp.start_processes(target, nprocs=1 if target is leaves else 2, start_method="fork")


def test_a_signal_is_named():
    started = mp.start_processes(dies, nprocs=1, join=False, start_method="fork")
    with pytest.raises(mp.ProcessExitedException, match="signal SIGKILL") as error:
        while not started.join():
            pass
    assert error.value.exit_code == -signal.SIGKILL and error.value.error_pid == started.pids()[0]


def double(x):
    return x * 2


def test_a_pool_maps_over_tensors():
    with mp.get_context("fork").Pool(2) as pool:
        assert [x.tolist() for x in pool.map(double, [torch.ones(2), torch.zeros(1)])] == [
            [2.0, 2.0],
            [0.0],
        ]


def test_strategies():
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    mp.set_sharing_strategy("file_system")
    assert mp.get_sharing_strategy() == "file_system"
    mp.set_sharing_strategy("file_descriptor")
    with pytest.raises(ValueError, match="unknown sharing strategy"):
        mp.set_sharing_strategy("telepathy")
