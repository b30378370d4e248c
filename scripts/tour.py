"""The texts in docs/tour.md, made by the code that they describe.

    python scripts/tour.py            print them
    python scripts/tour.py --write    put them into docs/tour.md

In the page, a text follows a comment with its name: `<!-- tour: program -->`.
"""

import re
import sys
from pathlib import Path

import rushlight.graph.ops  # noqa: F401 - fills the operation table
from rushlight.base import dtype as dt
from rushlight.base.device import CPU
from rushlight.base.target import Target
from rushlight.codegen import llvm
from rushlight.compiler import lower
from rushlight.graph.node import Program, ProgramBuilder
from rushlight.graph.op import TABLE
from rushlight.graph.value import Val

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tour.md"
BLOCK = re.compile(r"(<!-- tour: (\w+) -->\n```\w*\n)(.*?)(```\n)", re.DOTALL)

# A machine with AVX2, whichever runs this script: the page must not depend on it.
MACHINE = Target(
    "avx2", "x86_64-unknown-linux-gnu", "x86-64-v3", "", "x86-64-v3", 256, 32768, 524288, 2
)


def program() -> Program:
    """`(x * w + 1.0).relu()` as the recorder hands it to the compiler."""
    made = Program(numbers=["d"])
    builder = ProgramBuilder(made)

    def memory(*shape: int) -> Val:
        return Val(builder, builder.make(TABLE["leaf"], [], (shape, dt.float32, None, CPU)))

    x, w, one = memory(4, 8), memory(8), Val(builder, ~0)
    made.outputs = [TABLE["relu"](x * w + one).slot]
    return made


def texts() -> dict[str, str]:
    """Every text of the page by name."""
    loops = lower(program(), MACHINE)
    return {
        "program": str(program()),
        "loops": str(loops),
        "llvm": llvm.render(loops, MACHINE).text.strip(),
    }


def filled(page: str) -> str:
    """The page with its texts made anew."""
    made = texts()
    return BLOCK.sub(lambda m: f"{m[1]}{made[m[2]]}\n{m[4]}", page)


def main() -> None:
    """Print the texts, or write them into the page."""
    if "--write" in sys.argv:
        PAGE.write_text(filled(PAGE.read_text()))
    else:
        for name, text in texts().items():
            print(f"---- {name}\n{text}\n")


if __name__ == "__main__":
    main()
