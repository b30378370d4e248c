"""What programs ask of parts that are not there: honest answers, and errors that say what to do."""

import importlib
import sys

import pytest

import rushlight as torch
from rushlight import accelerator, distributed, fx, hub, jit, mps, multiprocessing, onnx, profiler
from rushlight import backends as backends_
from rushlight.base import device as devices
from rushlight.base.lacking import Lacking
from rushlight.cli.check import known


@pytest.mark.parametrize(
    "name",
    [
        *("cuda", "mps", "xpu", "accelerator", "backends.cudnn", "backends.mps"),
        *("backends.mkl", "backends.mkldnn", "backends.openmp", "backends.nnpack"),
        *("backends.opt_einsum", "backends.cusparselt"),
    ],
)
def test_nothing_is_available(name):
    module = importlib.import_module(f"rushlight.{name}")
    assert module.is_available() is False
    if hasattr(module, "device_count"):
        assert module.device_count() == 0


@pytest.mark.parametrize("name", ["cudnn", "mkldnn", "nnpack", "opt_einsum"])
def test_switches_are_remembered(name):
    module = importlib.import_module(f"rushlight.backends.{name}")
    before = module.enabled
    with module.flags(enabled=not before):
        assert module.enabled is not before
    assert module.enabled is before
    old = module.set_flags(not before)
    assert old[0] is before and module.enabled is not before
    module.set_flags(before)


def test_switches_are_attributes():
    backends_.cudnn.benchmark = True
    assert torch.backends.cudnn.benchmark is True
    backends_.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = True
    assert backends_.cuda.matmul.allow_tf32
    backends_.cuda.matmul.allow_tf32 = False
    with backends_.cuda.sdp_kernel(enable_flash=False):
        assert not backends_.cuda.flash_sdp_enabled() and backends_.cuda.math_sdp_enabled()
    assert backends_.cuda.flash_sdp_enabled()
    torch._dynamo.config.suppress_errors = True
    assert torch._dynamo.config.suppress_errors
    assert backends_.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")


def test_cuda_answers():
    cuda = torch.cuda
    for ask in ("empty_cache", "reset_peak_memory_stats", "seed_all", "memory_stats"):
        getattr(cuda, ask)()
    cuda.manual_seed_all(0), cuda.set_device(-1)
    assert cuda.max_memory_allocated() == cuda.memory_reserved() == 0
    for ask in ("current_device", "synchronize", "get_device_name", "get_device_properties"):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            getattr(cuda, ask)()
    with pytest.raises(RuntimeError, match="dummy base class _CudaEventBase"):
        cuda.Event(enable_timing=True)
    with pytest.raises(TypeError, match=r"type torch.cuda.LongTensor not available. Torch not"):
        cuda.LongTensor([1])
    assert not isinstance(torch.ones(1), cuda.FloatTensor)
    with pytest.raises(AttributeError, match="not in Rushlight yet"):
        cuda.nothing
    with cuda.device(0):
        pass


def test_cuda_mapped_to_the_cpu(monkeypatch, capsys):
    monkeypatch.setattr(devices.Chosen, "cuda_is_cpu", True)
    monkeypatch.setenv(devices.CUDA_VARIABLE, "cpu")
    assert torch.ones(2, device="cuda").device.type == "cpu"
    assert torch.cuda.current_device() == 0
    with torch.cuda.stream(torch.cuda.Stream()):
        start = torch.cuda.current_stream().record_event()
    assert start.elapsed_time(torch.cuda.current_stream().record_event()) >= 0
    assert capsys.readouterr().err == "rushlight: cuda is the CPU in this run (--cuda=cpu)\n"


def test_other_devices_answer_as_pytorch_without_them():
    with pytest.raises(RuntimeError, match="without MPS backend"):
        mps.synchronize()
    with pytest.raises(AssertionError, match="Torch not compiled with XPU enabled"):
        torch.xpu.current_device()
    assert accelerator.current_accelerator() is None
    with pytest.raises(RuntimeError, match="Cannot access accelerator device"):
        accelerator.synchronize()
    torch.cpu.synchronize()
    assert "Rushlight" in torch.__config__.show()
    assert "get_num_threads" in torch.__config__.parallel_info()


def test_jit_gives_back_what_it_is_given(capsys):
    jit._tell.cache_clear()

    @jit.script
    def double(x):
        return x * 2

    @jit.ignore
    def a():
        return 1

    @jit.ignore(drop=True)
    def b():
        return 2

    model = torch.nn.Linear(2, 1)
    assert jit.trace(model, torch.ones(1, 2)) is model and jit.script(model) is model
    assert double(torch.ones(1)).item() == 2 and a() + b() == 3
    assert jit.annotate(list[int], [1]) == [1] and jit.isinstance([1], list[int])
    assert not jit.is_scripting() and jit.wait(jit.fork(a)) == 1
    assert capsys.readouterr().err.count("compiled without being asked") == 2
    for refused in (lambda: jit.load("x.pt"), lambda: jit.save(model, "x.pt")):
        with pytest.raises(NotImplementedError, match=r"torch\.jit\..*state_dict"):
            refused()


def test_what_is_lacking_says_so_when_it_is_used():
    tracer = fx.CodeGen
    assert isinstance(tracer, Lacking) and not isinstance(1, tracer)
    assert "torch.fx.CodeGen" in repr(tracer)
    uses = (
        lambda: type("Mine", (), {}) and exec("class Mine(t): pass", {"t": tracer}),
        lambda: fx.CodeGen.trace(),
        lambda: profiler.ExecutionTraceObserver(),
        lambda: onnx.export(None, None, "x.onnx"),
        lambda: distributed.TCPStore("localhost", 1),
        lambda: torch.export.export(None, ()),
        lambda: torch.quantization.quantize_dynamic(None),
    )
    for use in uses:
        with pytest.raises(NotImplementedError, match=r"torch\.[\w.]+ is not in Rushlight: \w"):
            use()
    with pytest.raises(AttributeError, match=r"torch.fx.nothing is not in Rushlight yet"):
        fx.nothing
    for name in ("fx.CodeGen", "onnx.export", "distributed.TCPStore"):
        assert known.look_up(f"torch.{name}").missing == f"torch.{name}"
    assert known.look_up("torch.fx.wrap").missing is None


def test_distributed_without_a_group():
    assert not distributed.is_initialized()
    for ask in (distributed.get_rank, distributed.get_world_size):
        with pytest.raises(ValueError, match="Default process group has not been initialized"):
            ask()
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        torch.nn.parallel.DistributedDataParallel(torch.nn.Identity())


def test_data_parallel():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 3)
    both = torch.nn.DataParallel(model, device_ids=[0])
    x = torch.ones(4, 2)
    assert (both(x) == model(x)).all() and both.module is model
    assert list(both.state_dict()) == ["module.weight", "module.bias"]
    assert len(list(both.parameters())) == 2
    assert torch.nn.parallel.data_parallel(model, (x,)).shape == (4, 3)


def test_hub(tmp_path):
    (tmp_path / "hubconf.py").write_text(
        'dependencies = ["torch"]\n'
        "def double(x, more=0):\n    'Twice.'\n    return 2 * x + more\n"
        "def _hidden():\n    pass\n"
    )
    folder = str(tmp_path)
    assert hub.list(folder, source="local") == ["double"]
    assert hub.help(folder, "double", source="local") == "Twice."
    assert hub.load(folder, "double", 3, more=1, source="local", trust_repo=True) == 7
    for use in (lambda: hub.load("pytorch/vision", "resnet18"),):
        with pytest.raises(RuntimeError, match="is not downloaded here"):
            use()
    with pytest.raises(RuntimeError, match="Cannot find callable triple"):
        hub.load(folder, "triple", source="local")
    assert hub.get_dir().endswith("hub")


def work(index, folder):
    (folder / str(index)).write_text("here")


def fail(index, folder):
    if index == 1:
        raise ValueError("of process 1")


def leave(index, folder):
    sys.exit(3)


def test_processes(tmp_path):
    multiprocessing.start_processes(work, (tmp_path,), nprocs=2, start_method="fork")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
    with pytest.raises(multiprocessing.ProcessRaisedException, match="of process 1") as error:
        multiprocessing.start_processes(fail, (tmp_path,), nprocs=2, start_method="fork")
    assert error.value.error_index == 1
    with pytest.raises(multiprocessing.ProcessExitedException, match="exit code 3"):
        multiprocessing.start_processes(leave, (tmp_path,), start_method="fork")
    multiprocessing.set_sharing_strategy("file_system")
    assert multiprocessing.get_sharing_strategy() == "file_system"
    multiprocessing.set_sharing_strategy("file_descriptor")
