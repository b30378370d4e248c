"""Policy gradient (REINFORCE): a walker learns to find a door.

The walker stands in a corridor of nine fields and sees only where it is; at the right end is a door
(reward 1), every step costs 0.05. It draws its moves from a categorical distribution, and what led
to a better end than usual becomes more likely. Run it with PyTorch, or with `rushlight run`.
"""

import argparse

import torch
from torch import nn
from torch.distributions import Categorical

parser = argparse.ArgumentParser()
parser.add_argument("--episodes", type=int, default=300)
options = parser.parse_args()
torch.manual_seed(0)
FIELDS, LIMIT = 9, 40

policy = nn.Sequential(nn.Linear(FIELDS, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
places = torch.eye(FIELDS)


def episode(place=2):
    """Walk until the door or the limit; log-probabilities of the moves, and the rewards."""
    logs, rewards = [], []
    while place < FIELDS - 1 and len(rewards) < LIMIT:
        moves = Categorical(logits=policy(places[place]))
        move = moves.sample()
        logs.append(moves.log_prob(move))
        place = max(0, place + (1 if move.item() else -1))
        rewards.append(1.0 if place == FIELDS - 1 else -0.05)
    return logs, rewards


usual = 0.0
lengths = []
for number in range(1, options.episodes + 1):
    logs, rewards = episode()
    returns, rest = [], 0.0
    for reward in reversed(rewards):
        rest = reward + 0.97 * rest
        returns.insert(0, rest)
    usual += 0.1 * (returns[0] - usual)
    weights = torch.tensor(returns) - usual
    loss = -(torch.stack(logs) * weights).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    lengths.append(len(rewards))
    if number % (options.episodes // 5) == 0:
        recent = lengths[-options.episodes // 5 :]
        print(f"episode {number}: {sum(recent) / len(recent):.1f} steps to the door")

with torch.no_grad():
    right = policy(places[:-1]).softmax(-1)[:, 1]
print("probability of a step to the right:", [round(p, 2) for p in right.tolist()])
