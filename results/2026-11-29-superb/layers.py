"""What each hidden state of a model holds: logistic regression on its mean over the frames.

    python layers.py MODEL... --data COLLECTION --json FILE

Tasks ks (keywords) and sid (speakers) of `earbit prepare collection`, on the splits of `earbit
superb`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from earbit.audio.corpus import load_waveform, open_corpus
from earbit.superb.tasks import task_named
from earbit.superb.work import named_work
from earbit.upstream.upstream import model_named


@torch.inference_mode()
def pooled(model, corpus, ids):
    """Mean of every state over the frames, by clip: (states, width)."""
    found = {}
    for cut in corpus.cuts:
        if cut.id in ids:
            wave_1N = torch.from_numpy(np.asarray(load_waveform(cut), np.float32))[None]
            found[cut.id] = torch.cat(model(wave_1N).states).mean(1).numpy()
    return found


def accuracies(model, task, place):
    """Accuracy of every state on the test clips."""
    corpus = open_corpus(place)
    splits = named_work(task_named(task), corpus).of_task
    features = pooled(model, corpus, {e.id for e in (*splits.train, *splits.test)})
    train_y, test_y = ([e.target for e in part] for part in (splits.train, splits.test))
    found = []
    for state in range(len(next(iter(features.values())))):
        train_x, test_x = (
            np.stack([features[e.id][state] for e in part]) for part in (splits.train, splits.test)
        )
        scaler = StandardScaler().fit(train_x)
        model_of_state = LogisticRegression(max_iter=300).fit(scaler.transform(train_x), train_y)
        found.append(round(float(model_of_state.score(scaler.transform(test_x), test_y)), 4))
    return found


def main() -> None:
    """Measures all models and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {}
    for where in options.models:
        model = model_named(where, 0).eval()
        for task in ("ks", "sid"):
            of_task = accuracies(model, task, str(options.data / task))
            result.setdefault(where, {})[task] = of_task
            print(where, task, of_task, flush=True)
    options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
