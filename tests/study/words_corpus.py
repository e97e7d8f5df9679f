"""A silent corpus of keywords, which is opened and never listened to."""

import json

import numpy as np
import soundfile

WORDS = ("yes", "no", "up")


def write(root, n_speakers=5, **labels):
    """Three words by each speaker; `labels` replace those of all clips."""
    root.mkdir()
    lines = []
    for speaker in range(n_speakers):
        for word in WORDS:
            name = f"{speaker}-{word}.wav"
            soundfile.write(root / name, np.zeros(8_000), 16_000)
            fields = {"speaker": f"s{speaker}", "keyword": word, **labels}
            lines.append(json.dumps({"path": name, **fields}) + "\n")
    (root / "manifest.jsonl").write_text("".join(lines))
    return root
