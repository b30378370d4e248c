"""The documentation says what is: texts made by code are current, links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:rushlight|tests|scripts|benchmarks|docs)/[\w./-]+)`")


def test_the_tour_is_current() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "tour.py"), run_name="tour")
    page = (ROOT / "docs" / "tour.md").read_text()
    assert set(script["texts"]()) == {found[1] for found in script["BLOCK"].findall(page)}
    assert script["filled"](page) == page, "run `python scripts/tour.py --write`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in LINK.findall(text) if "://" not in link]
    lost = [link for link in links if not (page.parent / link).exists()]
    lost += [path for path in FILE.findall(text) if not (ROOT / path).exists()]
    assert not lost


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert {p.name for p in folder.glob("0*.md")} <= listed
