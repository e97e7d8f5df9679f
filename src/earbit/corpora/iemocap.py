"""IEMOCAP: emotions of ten actors in five sessions, for emotion recognition.

Source: Busso et al. 2008; classes and folds as in SUPERB, arXiv 2105.01051.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from earbit.corpora.published import LabelledClip, Part, PublishedCorpus
from earbit.corpora.text_lines import files_in, text_lines, wrong_line

SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
CLASS_OF = {"neu": "neu", "hap": "hap", "exc": "hap", "ang": "ang", "sad": "sad"}
"""Classes by the emotions of the evaluation files; utterances with others are not used."""
TURN = re.compile(r"\[[\d.]+ - [\d.]+\]\t(\w+)\t(\w+)\t\[.*\]\s*")
"""Line of one utterance: [start - end], name, emotion, [valence, activation, dominance]."""
NAME = re.compile(r"(Ses\d\d)[FM]_\w+_([FM])\w+")
"""Session, and the actor who speaks, in the name of an utterance."""
GENDERS = {"F": "f", "M": "m"}


def read(root: Path) -> Iterator[LabelledClip | str]:
    """Utterances of the four classes; a session is a fold, and its speakers are in no other."""
    n_others = 0
    for session in SESSIONS:
        for path in files_in(root / session / "dialog" / "EmoEvaluation", "*.txt"):
            for number, line in text_lines(path):
                if not line.startswith("["):
                    continue
                turn = TURN.fullmatch(line)
                name = NAME.fullmatch(turn[1]) if turn is not None else None
                if turn is None or name is None:
                    raise wrong_line(path, number, line, "[start - end], name, emotion, [v, a, d]")
                if turn[2] not in CLASS_OF:
                    n_others += 1
                    continue
                dialog = turn[1].rpartition("_")[0]
                yield LabelledClip(
                    id=turn[1],
                    path=Path(session, "sentences", "wav", dialog, f"{turn[1]}.wav"),
                    labels={
                        "speaker": f"{name[1]}{name[2]}",
                        "gender": GENDERS[name[2]],
                        "emotion": CLASS_OF[turn[2]],
                        "fold": session,
                    },
                )
    if n_others:
        yield f"{n_others:,} utterances of other emotions, or without agreement, are not used"


IEMOCAP = PublishedCorpus(
    name="iemocap",
    title="IEMOCAP",
    licence="for research, by the form at https://sail.usc.edu/iemocap/iemocap_release.htm",
    layout=tuple(
        f"{session}/{folder}"
        for session in SESSIONS
        for folder in ("sentences/wav", "dialog/EmoEvaluation")
    ),
    parts=(Part(tasks=("er",), read=read, counts={"none": 5_531}),),
    notes=(
        "five folds, one for each session; validation clips are a fifth of the others by a hash "
        "of their names, s3prl draws them with a generator of PyTorch",
    ),
)
