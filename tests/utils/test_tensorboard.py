"""Event files: read back by a small reader, checksum by checksum."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.tensorboard import SummaryWriter, proto
from rushlight.utils.tensorboard.events import crc32c, masked, record, records


def fields(data: bytes) -> list[tuple[int, object]]:
    """A message's fields: integers, floats or bytes."""

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    out, at = [], 0
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 2:
            n = varint()
            value = data[at : at + n]
            at += n
        else:
            n, form = (8, "<d") if kind == 1 else (4, "<f")
            (value,) = struct.unpack(form, data[at : at + n])
            at += n
        out.append((key >> 3, value))
    return out


def events(folder) -> list[dict]:
    """The events of the one file in a folder: step, and values by tag with their fields."""
    (path,) = [p for p in Path(folder).iterdir() if p.name.startswith("events.out.tfevents.")]
    found = []
    for data in records(path.read_bytes()):
        event = dict(fields(data))
        values = {}
        for number, value in fields(event.get(5, b"")):
            assert number == 1
            parts = dict(fields(value))
            values[parts.pop(1).decode()] = parts
        found.append({"step": event.get(2), "time": event[1], "values": values, "raw": event})
    return found


def test_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    assert records(record(b"a") + record(b"") + record(b"abc")) == [b"a", b"", b"abc"]
    data = record(b"abc")
    for i in range(len(data)):
        with pytest.raises(ValueError, match="record at byte 0"):
            records(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
    with pytest.raises(ValueError, match="ends inside"):
        records(data[:-1])
    assert masked(b"") == 0xA282EAD8


def test_numbers() -> None:
    assert proto.varint(0) == b"\x00"
    assert proto.varint(300) == b"\xac\x02"
    assert proto.varint(-1) == b"\xff" * 9 + b"\x01"


def test_scalars(tmp_path) -> None:
    with SummaryWriter(tmp_path, filename_suffix=".x") as writer:
        writer.add_scalar("loss", 0.5, 3, walltime=12.5)
        writer.add_scalar("loss", torch.tensor([0.25]), torch.tensor(4))
        writer.add_scalar("new", np.float32(2), new_style=True)
        assert writer.get_logdir() == str(tmp_path)
    first, *rest = events(tmp_path)
    assert first["raw"][3] == b"brain.Event:2"
    assert [(e["step"], e["values"]) for e in rest[:2]] == [
        (3, {"loss": {2: 0.5}}),
        (4, {"loss": {2: 0.25}}),
    ]
    assert rest[0]["time"] == 12.5
    tensor = dict(fields(rest[2]["values"]["new"][8]))
    assert struct.unpack("<f", tensor[5]) == (2.0,)
    with pytest.raises(AssertionError, match="0D"):
        SummaryWriter(tmp_path).add_scalar("x", torch.ones(2))


def test_several_curves_in_one_chart(tmp_path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(2):
            writer.add_scalars("a/b", {"train": step, "test": step * 2.0}, step)
    assert [e["values"] for e in events(tmp_path / "a_b_test")][1:] == [
        {"a/b": {2: 0.0}},
        {"a/b": {2: 2.0}},
    ]
    assert len(events(tmp_path / "a_b_train")) == 3


def doubles(data: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def test_histograms(tmp_path) -> None:
    values = torch.tensor([-1.0, 0.0, 0.0, 2.0])
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("h", values, 1)
        writer.add_histogram("few", values, 1, bins=[-2.0, -1.5, 0.5, 1.5, 2.5], max_bins=4)
        writer.add_histogram_raw("raw", 0, 1, 2, 1, 1, [0.5, 1.0], [1, 1], 1)
        with pytest.raises(ValueError, match="no element"):
            writer.add_histogram("none", torch.ones(0))
    _, full, few, raw = events(tmp_path)
    parts = dict(fields(full["values"]["h"][5]))
    assert [parts[i] for i in range(1, 6)] == [-1.0, 2.0, 4.0, 1.0, 5.0]
    limits, counts = doubles(parts[6]), doubles(parts[7])
    assert len(limits) == len(counts)
    assert sum(counts) == 4
    assert limits[-2] < 2.0 <= limits[-1]
    assert limits[1] > -1.0
    parts = dict(fields(few["values"]["few"][5]))
    assert doubles(parts[6]) == [-1.5, 0.5, 1.5, 2.5]
    assert doubles(parts[7]) == [0, 3, 0, 1]
    assert doubles(dict(fields(raw["values"]["raw"][5]))[7]) == [1, 1]


def pixels(data: bytes) -> np.ndarray:
    """The picture in a PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, content = 8, b""
    while at < len(data):
        (n,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + n]
        assert struct.unpack(">I", data[at + 8 + n : at + 12 + n])[0] == zlib.crc32(name + body)
        if name == b"IHDR":
            w, h, bits, kind = struct.unpack(">IIBB", body[:10])
        elif name == b"IDAT":
            content += body
        at += 12 + n
    colours = {0: 1, 2: 3, 6: 4}[kind]
    lines = np.frombuffer(zlib.decompress(content), np.uint8).reshape(h, 1 + w * colours)
    assert bits == 8
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(h, w, colours)


def test_pictures(tmp_path) -> None:
    x = torch.arange(12.0).reshape(3, 2, 2) / 11
    batch = torch.zeros(10, 1, 2, 3)
    batch[9] = 1.0
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("chw", x, 0)
        writer.add_image("hw", torch.tensor([[0, 255]], dtype=torch.uint8), dataformats="HW")
        writer.add_images("batch", batch)
        writer.add_image_with_boxes("box", torch.zeros(3, 4, 4), torch.tensor([[1, 1, 2, 3]]))
        with pytest.raises(AssertionError, match="twice"):
            writer.add_image("x", x, dataformats="CCH")
        with pytest.raises(AssertionError, match="are different"):
            writer.add_image("x", x, dataformats="HW")
    shown = {}
    for event in events(tmp_path):
        for tag, value in event["values"].items():
            parts = dict(fields(value[4]))
            shown[tag] = pixels(parts[4])
            assert shown[tag].shape == (parts[1], parts[2], parts[3])
    want = (x.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    assert shown["chw"].tolist() == want.tolist()
    assert shown["hw"].tolist() == [[[0] * 3, [255] * 3]]
    assert shown["batch"].shape == (4, 24, 3)
    assert shown["batch"][2:, 3:6].min() == 255
    assert shown["batch"].sum() == 6 * 3 * 255
    assert shown["box"][1, 1].tolist() == [255, 0, 0]


def test_texts_and_graphs(tmp_path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "*äö*", 2)
        with pytest.warns(UserWarning, match="no TorchScript graph"):
            writer.add_graph(torch.nn.Linear(1, 2), torch.ones(1, 1))
    _, text, graph = events(tmp_path)
    value = text["values"]["note/text_summary"]
    assert dict(fields(dict(fields(value[9]))[1]))[1] == b"text"
    assert dict(fields(value[8]))[8].decode() == "*äö*"
    assert b"Linear(in_features=1" in graph["values"]["model/text_summary"][8]


def test_hyper_parameters(tmp_path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(
            {"lr": 0.1, "layers": 3, "name": "x", "wide": True, "none": None},
            {"accuracy": torch.tensor(0.5)},
            {"layers": [2, 3]},
            run_name="one",
        )
        with pytest.raises(TypeError, match="should be dictionary"):
            writer.add_hparams([], {})
        with pytest.raises(ValueError, match="value should be one of"):
            writer.add_hparams({"a": [1]}, {})
    _, experiment, start, end, measure = events(tmp_path / "one")

    def plugin(event, tag) -> dict:
        inner = dict(fields(dict(fields(event["values"][tag][9]))[1]))
        assert inner[1] == b"hparams"
        return dict(fields(inner[2]))

    known = fields(plugin(experiment, "_hparams_/experiment")[2])
    names = {dict(fields(v))[1].decode(): dict(fields(v))[4] for i, v in known if i == 4}
    assert names == {"lr": 3, "layers": 3, "name": 1, "wide": 2}
    session = fields(plugin(start, "_hparams_/session_start_info")[3])
    given = {
        dict(fields(v))[1].decode(): fields(dict(fields(v))[2])[0] for i, v in session if i == 1
    }
    assert given == {"lr": (2, 0.1), "layers": (2, 3.0), "name": (3, b"x"), "wide": (4, 1)}
    assert plugin(end, "_hparams_/session_end_info")[4]
    assert measure["values"] == {"accuracy": {2: 0.5}}


def test_purged_steps_and_reopening(tmp_path) -> None:
    writer = SummaryWriter(tmp_path, purge_step=7)
    writer.add_scalar("a", 1.0)
    writer.flush()
    assert len(events(tmp_path)) == 3
    assert events(tmp_path)[1]["step"] == 7
    assert events(tmp_path)[1]["raw"][7] == b"\x08\x01"
    writer.close()
    writer.add_scalar("a", 2.0)
    writer.close()
    assert len(events(tmp_path)) == 4


def test_default_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    SummaryWriter(comment="-try").close()
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-try")
