"""Files made to do harm: each is refused with a clear error, and nothing of it runs."""

import io
import os
import pickle
import random
import struct
import zipfile
import zlib

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.io.archive import Writer

RAN: list[str] = []


def ran(*args) -> str:
    """What an attack would like to call."""
    RAN.append(repr(args))
    return "ran"


@pytest.fixture(autouse=True)
def nothing_runs():
    RAN.clear()
    yield
    assert RAN == []


def packed(data: bytes, records=(), name="archive") -> bytes:
    """An archive with a pickle and records of storages."""
    out = io.BytesIO()
    writer = Writer(out, name)
    writer.record("data.pkl", data)
    writer.record("byteorder", b"little")
    for key, content in records:
        writer.record(key, content)
    writer.finish()
    return out.getvalue()


def load(data: bytes, **settings):
    return torch.load(io.BytesIO(data), **settings)


class Reduced:
    """Pickles as a call."""

    def __init__(self, *call) -> None:
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "call",
    [
        (ran, ("x",)),
        (os.system, ("touch /tmp/pwned",)),
        (eval, ("ran()",)),
        (exec, ("import os",)),
        (getattr, (dict, "fromkeys")),
        (__import__, ("os",)),
        (open, ("/etc/passwd",)),
        (print, ("x",)),
        (type, ("X", (), {})),
        (bytearray, (1 << 40,)),
        (complex, ("1" * 10,)),
        (pickle.loads, (b"N.",)),
        (nn.Linear, (1, 1)),
    ],
    ids=lambda call: getattr(call[0], "__name__", "call"),
)
def test_calls_are_refused(call, protocol) -> None:
    for obj in (Reduced(*call), [Reduced(*call)], {"a": (Reduced(*call),)}):
        data = pickle.dumps(obj, protocol)
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            load(packed(data))
        old = b"".join(pickle.dumps(head, 2) for head in (0x1950A86A20F9469CFC6C, 1001, {}))
        with pytest.raises(pickle.UnpicklingError):
            load(old + data + pickle.dumps([], 2))


# Opcode by opcode: what a pickler would never write.
GLOBAL_DICT = b"ccollections\nOrderedDict\n"
REFUSED = {
    "instance": b"(itest\nX\n.",
    "object": b"(cos\nsystem\no.",
    "extension": b"\x82\x01.",
    "newobj_ex": b"\x80\x04)}\x92.",
    "inner name": b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.",
    "dotted module": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "name is no text": b"\x80\x04]\x8c\x06system\x93.",
    "build on a list": b"]}b.",
    "build on a function": b"ctorch._utils\n_rebuild_tensor_v2\n}b.",
    "build shadows a method": GLOBAL_DICT + b")R}X\x05\x00\x00\x00itemsK\x01sb.",
    "append to a dict": b"}K\x01a.",
    "setitem on a list": b"]K\x01K\x02s.",
    "setitem on a tensor class": b"ctorch\nTensor\nK\x01K\x02s.",
    "call of a class": b"ctorch\nTensor\n)R.",
    "call of a dtype": b"ctorch\nfloat32\n)R.",
    "call of a text": b"X\x01\x00\x00\x00a)R.",
    "call without a tuple": GLOBAL_DICT + b"]R.",
    "new of a tensor": b"ctorch\nTensor\n)\x81.",
    "encode with a codec": b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.",
    "bytearray of a size": b"cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
    "set of a text": b"cbuiltins\nset\nX\x01\x00\x00\x00a\x85R.",
    "unknown persistent id": b"X\x03\x00\x00\x00xyzQ.",
    "persistent id of a module": b"(X\x06\x00\x00\x00modulecos\nsystem\ntQ.",
    "memo never put": b"h\x05.",
    "memo of an empty stack": b"q\x00.",
    "pop of nothing": b"0.",
    "no mark": b"t.",
    "open mark": b"(K\x01.",
    "two objects": b"K\x01K\x02.",
    "no stop": b"K\x01",
    "empty": b"",
    "text past the end": b"X\xff\xff\xff\x7fabc.",
    "negative long": b"\x8b\xff\xff\xff\xff.",
    "long text": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.",
    "bytes past the end": b"B\xff\xff\xff\xffa.",
    "not UTF-8": b"X\x02\x00\x00\x00\xff\xfe.",
    "name not UTF-8": b"c\xff\xfe\nx\n.",
    "name without end": b"c" + b"a" * 100_000,
    "unhashable key": b"}]K\x01s.",
    "deep marks": b"(" * 200_000,
    "future protocol": b"\x80\x63N.",
    "python 2 names": b"c__builtin__\neval\n.",
    "size of a text": b"ctorch\nSize\nX\x01\x00\x00\x00a\x85R.",
    "parameter of a number": b"ctorch.nn.parameter\nParameter\nK\x01\x85R.",
    "layout of a secret": b"ctorch.serialization\n_get_layout\n"
    b"X\x0e\x00\x00\x00torch.__dict__\x85R.",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.timeout(20)
def test_pickles_are_refused(data) -> None:
    with pytest.raises((pickle.UnpicklingError, RuntimeError)) as caught:
        load(packed(data))
    assert str(caught.value)


def test_blocked_modules_stay_blocked() -> None:
    with torch.serialization.safe_globals([(os.system, "os.system"), (ran, "sys.x")]):
        for name in (b"os\nsystem", b"sys\nx", b"posix\nsystem", b"subprocess\nrun"):
            with pytest.raises(pickle.UnpicklingError, match="is blocked"):
                load(packed(b"c" + name + b"\n."))


def tuples(depth: int) -> bytes:
    """Tuples of two that each hold the one before twice: 2**depth parts."""
    return b")" + b"".join(b"q\x010h\x01h\x01\x86" for _ in range(depth))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("key", [tuples(60), b")" + b"\x85" * 50_000], ids=["exponential", "deep"])
@pytest.mark.parametrize("form", ["dict", "set", "ordered", "counter", "frozenset"])
def test_keys_that_never_end(key, form) -> None:
    data = {
        "dict": b"}" + key + b"K\x01s.",
        "set": b"cbuiltins\nset\n]" + key + b"a\x85R.",
        "ordered": b"ccollections\nOrderedDict\n](" + key + b"K\x01tae\x85R.".replace(b"e", b""),
        "counter": b"ccollections\nCounter\n)R" + key + b"K\x01s.",
        "frozenset": b"\x80\x04(" + key + b"\x91.",
    }[form]
    with pytest.raises(pickle.UnpicklingError):
        load(packed(data))


def test_deep_values_are_values() -> None:
    value = load(packed(b"]" * 5000 + b"a" * 4999 + b"."))
    for _ in range(4999):
        (value,) = value
    assert value == []


# ---------------------------------------------------------------- tensors that lie
def tensor_pickle(
    numel=4, offset=0, size=(2, 2), stride=(2, 1), key="0", kind="FloatStorage", flag=False
) -> bytes:
    """The pickle of one tensor, with any arguments."""

    def value(v) -> bytes:
        if isinstance(v, tuple):
            return b"(" + b"".join(map(value, v)) + b"t"
        if isinstance(v, bytes):
            return v
        return pickle.dumps(v, 2)[2:-1].split(b"q\x00")[0]

    storage = b"(" + value("storage") + b"ctorch\n" + kind.encode() + b"\n"
    storage += value(key) + value("cpu") + value(numel) + b"tQ"
    parts = storage + value(offset) + value(size) + value(stride) + value(flag)
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + parts + GLOBAL_DICT + b")RtR."


def tensor_file(records=(("data/0", bytes(16)),), **lies) -> bytes:
    return packed(tensor_pickle(**lies), records)


def test_the_honest_tensor_loads() -> None:
    assert load(tensor_file()).tolist() == [[0.0, 0.0], [0.0, 0.0]]


LIES = {
    "offset outside": {"offset": 3},
    "negative offset": {"offset": -1},
    "huge offset": {"offset": 1 << 62},
    "offset beyond 64 bits": {"offset": 1 << 100},
    "offset is no number": {"offset": 1.5},
    "offset is a truth": {"offset": True},
    "size outside": {"size": (3, 2)},
    "negative size": {"size": (-2, 2)},
    "huge size": {"size": (1 << 40, 1 << 40)},
    "huge product of sizes": {"size": (1 << 62, 4), "stride": (0, 0)},
    "negative stride": {"stride": (-2, 1)},
    "stride outside": {"stride": (4, 1)},
    "huge stride": {"stride": (1 << 62, 1)},
    "strides of another length": {"stride": (1,)},
    "too many dimensions": {"size": (1,) * 1000, "stride": (1,) * 1000},
    "sizes are no tuple": {"size": "ab"},
    "more elements than bytes": {"numel": 5},
    "huge storage": {"numel": 1 << 60},
    "storage beyond 64 bits": {"numel": 1 << 200},
    "negative storage": {"numel": -1},
    "missing record": {"key": "1"},
    "path upwards": {"key": "../data.pkl"},
    "path from the root": {"key": "/etc/passwd"},
    "key is a number": {"key": 0},
    "flag is a number": {"flag": 1},
    "gradient of integers": {"kind": "LongStorage", "numel": 2, "size": (2,), "stride": (1,),
                             "flag": True},
    "unknown storage": {"kind": "QInt8Storage"},
}  # fmt: skip


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("settings", [{}, {"weights_only": False}], ids=["weights", "anything"])
def test_tensors_that_lie(lies, settings) -> None:
    with pytest.raises((RuntimeError, pickle.UnpicklingError, AttributeError)) as caught:
        load(tensor_file(**lies), **settings)
    assert str(caught.value)


@pytest.mark.parametrize("lies", [LIES["offset outside"], LIES["huge size"]])
def test_mapped_tensors_that_lie(lies, tmp_path) -> None:
    (tmp_path / "a.pt").write_bytes(tensor_file(**lies))
    with pytest.raises(RuntimeError):
        torch.load(tmp_path / "a.pt", mmap=True)


# ---------------------------------------------------------------- archives
def zipped(*records, compression=zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in records:
            archive.writestr(name, content)
    return out.getvalue()


def test_zip_bombs() -> None:
    bomb = zipped(
        ("a/data.pkl", tensor_pickle(numel=2_500_000, size=(2_500_000,), stride=(1,))),
        ("a/data/0", bytes(10_000_000)),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 20_000
    with pytest.raises(RuntimeError, match="is compressed"):
        load(bomb)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([("data.pkl", b"N.")], "lies in no folder"),
        ([("a/x", b"N.")], "file not found: 'data.pkl'"),
        ([("a/data.pkl", b"N."), ("a/data.pkl", b"K\x01.")], "appears twice"),
        ([("../data.pkl", b"N.")], "N"),
    ],
)
def test_strange_archives(records, words) -> None:
    data = zipped(*records)
    if words == "N":
        assert load(data) is None  # a name is only a name
        return
    with pytest.raises(RuntimeError, match=words):
        load(data)


def test_truth_of_sizes_and_checksums() -> None:
    content = bytes(range(1, 17))
    good = tensor_file([("data/0", content)])
    at = good.index(content)
    with pytest.raises(RuntimeError, match="does not match its checksum"):
        load(good[:at] + b"\x99" + good[at + 1 :])
    # The directory says that a record is longer than it is.
    entry = good.rindex(b"archive/data/0") - 46
    size = struct.pack("<II", 1 << 20, 1 << 20)
    with pytest.raises(RuntimeError, match="reaches into the next one"):
        load(good[: entry + 20] + size + good[entry + 28 :])
    # The directory points somewhere else.
    with pytest.raises(RuntimeError, match=r"no header|another name|overlap|reaches into"):
        load(good[: entry + 42] + struct.pack("<I", 5) + good[entry + 46 :])


def test_every_cut_is_noticed() -> None:
    data = tensor_file()
    for n in range(4, len(data), 37):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            load(data[:n])
    old = io.BytesIO()
    torch.save(torch.ones(4), old, _use_new_zipfile_serialization=False)
    data = old.getvalue()
    for n in range(len(data)):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            load(data[:n])


def test_damaged_bytes_never_run_or_hang() -> None:
    """Any byte changed gives the object, an error of the file, or nothing worse."""
    chance = random.Random(0)
    value = {"w": torch.arange(4.0), "n": [1, (2, "x")], "m": nn.Linear(1, 1).state_dict()}
    out = io.BytesIO()
    torch.save(value, out)
    whole = zipfile.ZipFile(out).read("archive/data.pkl")
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        records = [("data/0", bytes(16)), ("data/1", bytes(4)), ("data/2", bytes(4))]
        try:
            load(packed(bytes(data), records))
        except (RuntimeError, pickle.UnpicklingError, ValueError, NotImplementedError):
            pass


OLD_HEAD = b"".join(pickle.dumps(head, 2) for head in (0x1950A86A20F9469CFC6C, 1001, {}))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(3, 2), "Invalid magic number"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(7, 2), "Invalid protocol version"),
        (OLD_HEAD + b"N." + pickle.dumps(["0"], 2), "nothing refers to"),
        (OLD_HEAD + b"N." + pickle.dumps({}, 2), "list of storages"),
        (b"\x00" * 600, "Unsupported operand"),
        (bytes(257) + b"ustar" + bytes(300), "oldest format"),
    ],
)
def test_old_files(data, words) -> None:
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match=words):
        load(data)


def old_storage(count: int, written: int, content: bytes) -> bytes:
    reference = tensor_pickle(numel=count, size=(0,), stride=(1,))
    reference = reference.replace(b"tQ", b"NtQ", 1)
    return OLD_HEAD + reference + pickle.dumps(["0"], 2) + struct.pack("<q", written) + content


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (old_storage(1 << 40, 1 << 40, b""), "more than the file holds"),
        (old_storage(4, 3, bytes(16)), "the file is damaged"),
        (old_storage(4, -4, bytes(16)), "the file is damaged"),
        (old_storage(4, 4, bytes(15)), "ends inside"),
    ],
)
def test_old_storages(data, words) -> None:
    with pytest.raises(RuntimeError, match=words):
        load(data)


def test_script_archives() -> None:
    data = zipped(("a/data.pkl", b"N."), ("a/constants.pkl", b"N."))
    with pytest.raises(RuntimeError, match="TorchScript"):
        load(data)
    with pytest.raises(RuntimeError, match="TorchScript"):
        load(data, weights_only=False)


def test_the_writer_agrees_with_zlib() -> None:
    assert (
        zlib.crc32(bytes(16))
        == zipfile.ZipFile(io.BytesIO(tensor_file())).getinfo("archive/data/0").CRC
    )


# ---------------------------------------------------------------- safetensors
def safe(header: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + content


def entry(kind="F32", shape="[2]", offsets="[0,8]") -> bytes:
    return f'{{"w":{{"dtype":"{kind}","shape":{shape},"data_offsets":{offsets}}}}}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x00" * 7, safe(b"{}", length=1 << 63), safe(b"{}", length=100), safe(b"{"),
        safe(b"[]"), safe(b"\xff\xfe"), safe(b"[" * 100_000), safe(entry(), bytes(7)),
        safe(entry(), bytes(9)), safe(entry(offsets="[0,4]"), bytes(8)),
        safe(entry(offsets="[-8,0]"), bytes(8)), safe(entry(offsets="[8,0]"), bytes(8)),
        safe(entry(offsets="[4,12]"), bytes(12)), safe(entry(shape="[-2]"), bytes(8)),
        safe(entry(shape="[2.0]"), bytes(8)), safe(entry(shape="[true,2]"), bytes(8)),
        safe(entry(shape="[4611686018427387904,4]", offsets="[0,0]")), safe(entry(kind="X9")),
        safe(entry(kind="F32\\u0000")), safe(b'{"w":3}'), safe(b'{"w":{"dtype":"F32"}}'),
        safe(entry()[:-1] + b"," + entry()[1:], bytes(8)),
    ],
)  # fmt: skip
def test_hostile_safetensors(data, tmp_path) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(torch.io.SafetensorError):
        torch.io.load_file(tmp_path / "a.safetensors")
