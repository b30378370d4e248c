"""The demo learns the digits, and draws its loss."""

import xml.etree.ElementTree as ElementTree

from rushlight.lab import curve, demo


def test_the_demo_learns(capsys, tmp_path):
    assert demo.main(epochs=20, folder=tmp_path) == 0
    text = capsys.readouterr().out
    assert "(hidden2): Linear(in_features=128, out_features=128, bias=True)" in text
    losses = [float(line.split()[3]) for line in text.splitlines() if line.startswith("epoch")]
    assert len(losses) == 20
    assert losses[-1] < 0.1 * losses[0]
    assert float(text.split("; test accuracy ")[1].split("%")[0]) >= 97.0
    assert [p.stem for p in tmp_path.iterdir()] == ["rushlight-demo"]


def test_the_picture_is_svg_with_a_point_for_every_epoch():
    root = ElementTree.fromstring(curve.svg([2.0, 1.0, 0.5, 0.25]))
    line = next(e for e in root.iter() if e.tag.endswith("polyline"))
    points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert len(points) == 4
    assert [p[0] for p in points] == sorted(p[0] for p in points)
    assert points[0][1] < points[-1][1]  # SVG's y grows downwards
