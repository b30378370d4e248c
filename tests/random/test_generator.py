"""Seeds, states, sharing and the process-wide generator."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rushlight.random as rl
from rushlight.random import Generator, draws, generator, native, twister


@pytest.mark.parametrize("seed", [0, 2**32, -(2**32), 2**40])
def test_only_the_low_32_bits_of_a_seed_reach_the_words(seed: int) -> None:
    gen = Generator().manual_seed(seed)
    assert gen.initial_seed() == seed % 2**64
    expected = draws.uniform(Generator().manual_seed(seed % 2**32), 5)
    assert np.array_equal(draws.uniform(gen, 5), expected)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        Generator().manual_seed(seed)


def test_a_seed_is_an_integer() -> None:
    assert Generator().manual_seed(np.int64(7)).initial_seed() == 7
    with pytest.raises(RuntimeError, match="expected a long, but got float"):
        Generator().manual_seed(1.5)  # type: ignore[arg-type]


def test_seed_from_the_operating_system() -> None:
    gen = Generator()
    assert gen.seed() == gen.initial_seed()
    assert gen.seed() != gen.seed()


@pytest.mark.parametrize("drawn", [0, 1, 3, 623, 624, 625, 5000])
def test_a_state_goes_on_where_it_was_taken(drawn: int) -> None:
    gen = Generator().manual_seed(11)
    draws.uniform(gen, drawn)
    draws.normal(gen, 3)  # leaves a normal waiting
    state = gen.state_bytes()
    assert state.shape == (5056,)
    assert state.dtype == np.uint8
    expected = draws.normal(gen, 5), draws.uniform(gen, 700)
    again = Generator().set_state(state)
    assert np.array_equal(again.state_bytes(), state)
    assert again.initial_seed() == 11
    assert np.array_equal(draws.normal(again, 5), expected[0])
    assert np.array_equal(draws.uniform(again, 700), expected[1])


def test_asking_for_the_state_changes_nothing() -> None:
    asked, other = Generator().manual_seed(1), Generator().manual_seed(1)
    for n in (1, 3, 2000, 7, 0, 5000, 1):
        asked.state_bytes()
        assert np.array_equal(draws.uniform(asked, n), draws.uniform(other, n))
        assert np.array_equal(asked.state_bytes(), asked.state_bytes())
    assert np.array_equal(asked.state_bytes(), other.state_bytes())


def test_seeding_drops_the_waiting_normal() -> None:
    gen = Generator().manual_seed(1)
    first = draws.normal(gen, 3)
    assert gen.spare is not None
    gen.manual_seed(1)
    assert gen.spare is None
    assert np.array_equal(draws.normal(gen, 3), first)


def test_what_is_no_state() -> None:
    gen = Generator()
    with pytest.raises(RuntimeError, match="5056"):
        gen.set_state(np.zeros(5, np.uint8))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        gen.set_state(np.zeros(5056, np.uint8))
    with pytest.raises(TypeError, match="ByteTensor"):
        gen.set_state(np.zeros(5056, np.float32))


def test_copies() -> None:
    gen = Generator().manual_seed(3)
    draws.normal(gen, 5)
    for other in (gen.clone_state(), copy.deepcopy(gen), pickle.loads(pickle.dumps(gen))):
        assert other is not gen
        assert np.array_equal(other.state_bytes(), gen.state_bytes())


def test_states_are_wrapped_for_the_tensor_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_wrap", generator._wrap)
    rl.generator.wrap_states_with(lambda state: ("wrapped", state))
    name, state = Generator().get_state()
    assert name == "wrapped"
    assert isinstance(state, np.ndarray)


def test_a_generator_is_of_the_cpu() -> None:
    assert str(Generator().device) == "cpu"
    with pytest.raises(RuntimeError, match="cuda"):
        Generator("cuda")


def test_the_process_wide_generator() -> None:
    state = rl.default_generator.state_bytes()
    try:
        assert rl.manual_seed(5) is rl.default_generator
        assert rl.initial_seed() == 5
        expected = draws.uniform(rl.default_generator, 4)
        rl.manual_seed(5)
        with rl.fork_rng():
            draws.uniform(rl.default_generator, 100)
            rl.manual_seed(9)
        assert np.array_equal(draws.uniform(rl.default_generator, 4), expected)
        assert rl.seed() == rl.initial_seed()
        with rl.fork_rng(enabled=False):
            rl.manual_seed(6)
        assert rl.initial_seed() == 6
    finally:
        rl.set_rng_state(state)


def test_threads_share_a_generator_without_tearing_it() -> None:
    gen = Generator().manual_seed(8)
    seen: list[np.ndarray] = []

    def work() -> None:
        for n in (1, 3, 700, 1500, 2) * 20:
            seen.append(draws.uniform(gen, n))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drawn = np.sort(np.concatenate(seen))
    expected = np.sort(draws.uniform(Generator().manual_seed(8), drawn.size))
    assert np.array_equal(drawn, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_goes_on_from_its_parents_state() -> None:
    code = (
        "import os, numpy as np\n"
        "from rushlight.random import default_generator as g, draws\n"
        "g.manual_seed(4); draws.normal(g, 3)\n"
        "read, write = os.pipe()\n"
        "child = os.fork()\n"
        "values = draws.normal(g, 9).tobytes()\n"
        "if child == 0:\n"
        "    os.write(write, values); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "assert os.read(read, 1000) == values\n"
    )
    root = Path(rl.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


@pytest.mark.parametrize("seed", [0, 1, 5489, 0x80000001, 0xFFFFFFFF])
def test_each_way_to_make_words_gives_the_same(seed: int) -> None:
    """Written out, and by NumPy's generator; across the places where the key is made anew."""
    bits = np.random.RandomState(seed)._bit_generator
    assert twister.filled(seed) == bits.state["state"]["key"].tolist()
    a, b = twister.Twister(), twister.Twister()
    for t in (a, b):
        t.seed(seed)
    if native.SEEDED.compile():
        native.seeded(b._memory, seed)
        assert np.array_equal(a.save(), b.save())
    for count in (1, 5, 618, 1, 623, 624, 625, 3, 1247, 1248, 5000, 2):
        expected = bits.random_raw(count).astype(np.uint32)
        one, other = np.empty(count, np.uint32), np.empty(count, np.uint32)
        a._make(one)
        b._by_numpy(other)
        assert np.array_equal(one, expected) and np.array_equal(other, expected)
        assert np.array_equal(a.save(), b.save())
        b.load(a.save())


def test_small_draws_load_no_generator_of_numpys() -> None:
    code = (
        "import sys, rushlight as torch; torch.manual_seed(3); torch.randn(9, 9).sum().item(); "
        "sys.exit('numpy.random' in sys.modules)"
    )
    root = Path(rl.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


def test_importing_loads_no_random_numbers() -> None:
    code = "import sys, rushlight.random; sys.exit('numpy.random' in sys.modules)"
    root = Path(rl.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)
