"""A reward in Python, the standard library alone: short answers that take up the words of the prompt are better.

In a recipe (docs/rewards.md):

    ranker:
      kind: command
      command: [python3, reward.py]

Tried without a run:  bin/selm rank rows.jsonl --ranker 'command:python3 examples/reward.py'
"""

import json
import re
import sys


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def score(prompt: str, response: str) -> float:
    """A finite number, higher is better. Replace it: call a model, run the tests that a program has to pass ..."""
    asked = words(prompt)
    taken_up = len(asked & words(response)) / max(1, len(asked))
    return taken_up - len(response) / 1000


for line in sys.stdin:  # one prompt and its responses a line, until selm ends the input
    question = json.loads(line)
    scores = [score(question["prompt"], response) for response in question["responses"]]
    # Standard output is for answers alone: print() what you want to see with file=sys.stderr.
    print(json.dumps({"id": question["id"], "scores": scores}), flush=True)
