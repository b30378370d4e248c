"""A translator: numbers in English words to digits, letter by letter.

An encoder (GRU) reads "forty two", a decoder (GRU) with attention writes "42"; while it learns it
is given the right digit before ("teacher forcing"), afterwards its own. It is then asked numbers
that it never saw. Run it with PyTorch, or with `rushlight run`.
"""

import argparse
import random

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=40)
options = parser.parse_args()

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
ONES = (ONES + "fifteen sixteen seventeen eighteen nineteen").split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def words(n):
    """A number below 1000 in English."""
    if n >= 100:
        rest = f" and {words(n % 100)}" if n % 100 else ""
        return f"{ONES[n // 100]} hundred{rest}"
    if n < 20:
        return ONES[n]
    return TENS[n // 10 - 2] + (f" {ONES[n % 10]}" if n % 10 else "")


random.seed(0)
torch.manual_seed(0)
numbers = random.sample(range(1000), 1000)
train, test = numbers[:900], numbers[900:]
letters = {c: i + 1 for i, c in enumerate(sorted({c for n in numbers for c in words(n)}))}
START, END, LONGEST = 10, 11, max(len(words(n)) for n in numbers)


def source(batch):
    """Letters as numbers, 0 behind the end."""
    rows = [[letters[c] for c in words(n)] for n in batch]
    return torch.tensor([row + [0] * (LONGEST - len(row)) for row in rows])


def target(batch):
    """Digits and the end, -100 behind it."""
    rows = [[int(c) for c in str(n)] + [END] for n in batch]
    return torch.tensor([row + [-100] * (4 - len(row)) for row in rows])


class Translator(nn.Module):
    """Letters to digits."""

    def __init__(self, size=64):
        super().__init__()
        self.letters = nn.Embedding(len(letters) + 1, 24, padding_idx=0)
        self.encoder = nn.GRU(24, size // 2, batch_first=True, bidirectional=True)
        self.digits = nn.Embedding(12, 24)
        self.decoder = nn.GRU(24, size, batch_first=True)
        self.output = nn.Linear(2 * size, 12)

    def read(self, x):
        """What the encoder has seen at every letter, and which letters there are."""
        return self.encoder(self.letters(x))[0], x == 0

    def write(self, before, seen, nothing, state=None):
        """Scores of the next digits after `before`."""
        out, state = self.decoder(self.digits(before), state)
        attention = out @ seen.transpose(1, 2)
        attention = attention.masked_fill(nothing[:, None], float("-inf")).softmax(-1)
        return self.output(torch.cat([out, attention @ seen], -1)), state

    def translate(self, batch):
        """The most likely digit, one after the other."""
        seen, nothing = self.read(source(batch))
        digit, state, written = torch.full((len(batch), 1), START), None, []
        for _ in range(4):
            scores, state = self.write(digit, seen, nothing, state)
            digit = scores.argmax(-1)
            written.append(digit)
        return ["".join(map(str, row)).split(str(END))[0] for row in torch.cat(written, 1).tolist()]


model = Translator()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(options.epochs):
    random.shuffle(train)
    total = 0.0
    for start in range(0, len(train), 100):
        batch = train[start : start + 100]
        wanted = target(batch)
        before = torch.cat([torch.full((len(batch), 1), START), wanted[:, :-1].clamp(min=0)], 1)
        scores, _ = model.write(before, *model.read(source(batch)))
        loss = nn.functional.cross_entropy(scores.reshape(-1, 12), wanted.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(batch)
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: loss {total / len(train):.4f}")

with torch.no_grad():
    written = model.translate(test)
right = sum(w == str(n) for w, n in zip(written, test))
for n, w in list(zip(test, written))[:5]:
    print(f"{words(n):30} -> {w}")
print(f"right: {right} of {len(test)} new numbers")
