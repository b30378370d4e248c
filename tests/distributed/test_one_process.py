"""`torch.distributed` with a single process: what it answers, exchanges and refuses."""

from collections.abc import Iterator

import pytest

import rushlight as torch
import rushlight.distributed as dist
from rushlight import nn
from rushlight.utils.data.distributed import DistributedSampler

VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def no_group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def alone() -> None:
    dist.init_process_group("gloo", world_size=1, rank=0, init_method="tcp://127.0.0.1:29500")


def test_the_environment_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dist.is_available() and not dist.is_initialized()
    assert dist.group.WORLD is None
    for name, value in VARIABLES.items():
        with pytest.raises(ValueError, match=f"environment variable {name} expected, but not set"):
            dist.init_process_group("gloo")
        monkeypatch.setenv(name, value)
    dist.init_process_group("gloo")
    assert dist.is_initialized()
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    assert dist.group.WORLD is dist.GroupMember.WORLD
    assert dist.get_process_group_ranks() == [0]
    with pytest.raises(ValueError, match="trying to initialize the default process group twice!"):
        dist.init_process_group("gloo")
    dist.destroy_process_group()
    assert not dist.is_initialized()
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        dist.get_rank()
    with pytest.raises(AssertionError, match="Process group cannot be None"):
        dist.destroy_process_group()


def test_several_processes_and_other_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotImplementedError, match="world_size=4 is not in Rushlight"):
        dist.init_process_group("gloo", init_method="tcp://localhost:1", world_size=4, rank=0)
    for name, value in (VARIABLES | {"WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotImplementedError, match="world_size=2"):
        dist.init_process_group("gloo")
    with pytest.raises(RuntimeError, match="Distributed package doesn't have NCCL built in"):
        dist.init_process_group("nccl", world_size=1, rank=0)
    with pytest.raises(AssertionError, match="Unknown backend type bad"):
        dist.init_process_group("bad")
    with pytest.raises(RuntimeError, match="No rendezvous handler for foo://"):
        dist.init_process_group("gloo", init_method="foo://x")
    with pytest.raises(ValueError, match="rank 3"):
        dist.init_process_group("gloo", init_method="file:///x", world_size=1, rank=3)
    assert not dist.is_initialized()


@pytest.mark.usefixtures("alone")
def test_exchanges_give_what_one_process_has() -> None:
    x = torch.arange(4.0)
    for op in (dist.ReduceOp.SUM, dist.ReduceOp.AVG, dist.ReduceOp.MAX):
        assert dist.all_reduce(x, op=op) is None
    dist.broadcast(x, 0)
    dist.reduce(x, dst=0)
    dist.barrier()
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]
    work = dist.all_reduce(x, async_op=True)
    assert work is not None and work.wait() and work.is_completed()
    others = [torch.zeros(4)]
    dist.all_gather(others, x)
    assert others[0].tolist() == x.tolist()
    for exchange in (
        lambda out: dist.all_gather_into_tensor(out, x),
        lambda out: dist.gather(x, [out]),
        lambda out: dist.scatter(out, [x]),
        lambda out: dist.reduce_scatter(out, [x]),
        lambda out: dist.reduce_scatter_tensor(out, x),
        lambda out: dist.all_to_all([out], [x]),
        lambda out: dist.all_to_all_single(out, x),
    ):
        out = torch.zeros(4)
        exchange(out)
        assert out.tolist() == x.tolist()
    found = [None]
    dist.all_gather_object(found, {"a": 1})
    assert found == [{"a": 1}]
    dist.broadcast_object_list(found, src=0)
    assert found == [{"a": 1}]
    own = dist.new_group([0])
    assert (own.rank(), own.size(), dist.get_rank(own), dist.get_world_size(own)) == (0, 1, 0, 1)


@pytest.mark.usefixtures("alone")
def test_errors_of_exchanges_are_pytorchs() -> None:
    x = torch.arange(4.0)
    with pytest.raises(TypeError, match="Expected parameter `tensor` of type"):
        dist.all_reduce(3)
    with pytest.raises(RuntimeError, match=r"Cannot use ReduceOp\.BAND with non-integral dtype"):
        dist.all_reduce(x, op=dist.ReduceOp.BAND)
    with pytest.raises(RuntimeError, match="broadcast: invalid root rank: 1"):
        dist.broadcast(x, 1)
    with pytest.raises(ValueError, match="Must specify global_rank or group_rank"):
        dist.broadcast(x)
    with pytest.raises(RuntimeError, match=r"expected length 1, got 2\)"):
        dist.all_gather([torch.zeros(4)] * 2, x)
    with pytest.raises(RuntimeError, match=r"expected \(4\), got \(3\)"):
        dist.all_gather([torch.zeros(3)], x)
    with pytest.raises(TypeError, match="Expected parameter `tensor_list`"):
        dist.all_gather(x, x)
    with pytest.raises(ValueError, match="tensors with different dtypes"):
        dist.all_gather([torch.zeros(4, dtype=torch.int32)], x)
    with pytest.raises(ValueError, match="destination rank should not be the same"):
        dist.send(x, 0)
    with pytest.raises(ValueError, match="Rank 1 is out of range"):
        dist.new_group([1])


@pytest.mark.usefixtures("alone")
def test_a_wrapped_module_trains_as_itself() -> None:
    def trained(wrap: bool) -> list[list[float]]:
        torch.manual_seed(0)
        model = nn.Linear(2, 1)
        net = nn.parallel.DistributedDataParallel(model) if wrap else model
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(4, 2)).square().mean().backward()
            optimizer.step()
        prefix = "module." if wrap else ""
        assert list(net.state_dict()) == [f"{prefix}weight", f"{prefix}bias"]
        return [p.tolist() for p in model.parameters()]

    assert trained(True) == trained(False)
    net = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    with net.no_sync():
        assert not net.require_backward_grad_sync
    assert net.require_backward_grad_sync
    with pytest.raises(RuntimeError, match="any parameter that requires a gradient"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    with pytest.raises(ValueError, match="device_ids"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1), device_ids=[0])


@pytest.mark.usefixtures("alone")
def test_samplers_ask_the_group() -> None:
    sampler = DistributedSampler([1, 2, 3], shuffle=False)
    assert (sampler.num_replicas, sampler.rank, list(sampler)) == (1, 0, [0, 1, 2])


def test_without_a_group_wrapper_and_sampler_say_so() -> None:
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        DistributedSampler([1, 2])
