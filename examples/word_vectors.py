"""Word vectors from a made-up language, by skip-grams.

Every sentence says what an animal eats or where it lives. Words that are used alike come to lie
close together: the network is never told which words are animals. Run it with PyTorch, or with
`rushlight run`.
"""

import random

import torch
from torch import nn

random.seed(0)
torch.manual_seed(0)
KINDS = {
    "animal": ["cat", "dog", "horse", "mouse"],
    "food": ["fish", "meat", "hay", "cheese"],
    "place": ["house", "stable", "garden", "barn"],
}
PATTERNS = ["the animal eats food", "the animal lives in the place", "food is good for the animal"]


def sentence():
    """One of the patterns, with words of the kinds."""
    words = random.choice(PATTERNS).split()
    return [random.choice(KINDS[w]) if w in KINDS else w for w in words]


corpus = [sentence() for _ in range(400)]
vocabulary = sorted({w for s in corpus for w in s})
number = {w: i for i, w in enumerate(vocabulary)}
pairs = [
    (number[s[i]], number[s[j]])
    for s in corpus
    for i in range(len(s))
    for j in range(max(0, i - 2), min(len(s), i + 3))
    if i != j
]
centre, context = torch.tensor(pairs).unbind(1)


class SkipGram(nn.Module):
    """A word's vector predicts the words around it."""

    def __init__(self, words, size):
        super().__init__()
        self.vectors = nn.Embedding(words, size)
        self.scores = nn.Linear(size, words, bias=False)

    def forward(self, word):
        """Scores of all words as neighbours."""
        return self.scores(self.vectors(word))


model = SkipGram(len(vocabulary), 6)
optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
for epoch in range(12):
    order = torch.randperm(len(pairs))
    total = 0.0
    for batch in order.split(256):
        loss = nn.functional.cross_entropy(model(centre[batch]), context[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1}: loss {total / len(pairs):.4f}")

vectors = nn.functional.normalize(model.vectors.weight.detach(), dim=1)
alike = vectors @ vectors.T
alike -= 2 * torch.eye(len(vocabulary))  # no word counts as like itself
hits = 0
for kind, words in KINDS.items():
    for word in words:
        nearest = vocabulary[alike[number[word]].argmax().item()]
        hits += nearest in words
        print(f"{kind:6} {word:7} is most like {nearest}")
print(f"nearest of the same kind: {hits} of 12")
