"""Beam search with an n-gram, judged by all paths of small cases, and its score in scores.json."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from one_task import run_task

from earbit.audio.splits import Splits
from earbit.errors import ConfigError
from earbit.heads.beam_search import BeamSearch
from earbit.heads.example import Example
from earbit.heads.head import HeadShape
from earbit.heads.language_model import LanguageModel, open_language_model
from earbit.heads.linear import FrameLinear
from earbit.heads.ngram import NGram
from earbit.superb.asr import ASR
from earbit.superb.head_file import GridPoint, TrainedHead
from earbit.superb.ks import KS
from earbit.superb.verb import score_model
from earbit.superb.with_lm import cases_with_lm
from earbit.upstream.features import FrozenFeatures

NAMES = ("<blank>", " ", "A", "B")
ENTRIES = {
    ("<unk>",): (-1.2, 0.0),
    ("<s>",): (-99.0, -0.3),
    ("</s>",): (-0.7, 0.0),
    ("A",): (-0.5, -0.2),
    ("B",): (-0.8, -0.4),
    ("AB",): (-0.9, -0.1),
    ("<s>", "A"): (-0.3, -0.1),
    ("A", "B"): (-0.6, 0.0),
    ("B", "</s>"): (-0.2, 0.0),
    ("<s>", "A", "B"): (-0.05, 0.0),
}
LM = NGram(ENTRIES)


def log10_of(history, word):
    """Back-off as it is defined, from the whole history."""
    if (*history, word) in ENTRIES:
        return ENTRIES[(*history, word)][0]
    return ENTRIES.get(history, (0, 0))[1] + log10_of(history[1:], word)


def score_of(text, weight, word_score):
    """Score of the words of a text under the language model."""
    words = [word if (word,) in ENTRIES else "<unk>" for word in text.split()]
    sentence = ["<s>", *words, "</s>"]
    log10 = sum(
        log10_of(tuple(sentence[max(0, i - 2) : i]), sentence[i]) for i in range(1, len(sentence))
    )
    return weight * log10 * math.log(10) + word_score * len(words)


def best_by_all_paths(p_TC, weight, word_score):
    """Symbols of the best text, and how far the second is behind."""
    total = {}
    for path in itertools.product(range(p_TC.shape[1]), repeat=len(p_TC)):
        merged = [c for c, _ in itertools.groupby(path)]
        symbols = tuple(NAMES[c] for c in merged if c)
        probability = math.prod(p_TC[t, c] for t, c in enumerate(path))
        total[symbols] = total.get(symbols, 0) + probability
    ranked = {s: math.log(p) + score_of("".join(s), weight, word_score) for s, p in total.items()}
    first, second = sorted(ranked, key=ranked.__getitem__)[:-3:-1]
    return first, ranked[first] - ranked[second]


def probabilities(n_frames, seed, sharpness=1.5):
    logits = sharpness * np.random.default_rng(seed).normal(size=(n_frames, len(NAMES)))
    p_TC = np.exp(logits)
    return p_TC / p_TC.sum(axis=1, keepdims=True)


def found(p_TC, weight=0.0, word_score=0.0, n_beams=10_000):
    search = BeamSearch(lm=LM, n_beams=n_beams, lm_weight=weight, word_score=word_score)
    return search.symbols(np.log(p_TC).astype(np.float32), NAMES)


@pytest.mark.parametrize(("weight", "word_score"), [(0, 0), (0.5, 0), (2, -1), (1, 2)])
@pytest.mark.parametrize("n_frames", [1, 3, 5])
def test_the_text_is_the_best_of_all_paths(n_frames, weight, word_score):
    for seed in range(8):
        p_TC = probabilities(n_frames, seed)
        expected, gap = best_by_all_paths(p_TC, weight, word_score)
        if gap > 1e-4:
            assert found(p_TC, weight, word_score) == expected


def test_paths_of_one_text_are_summed():
    """The likeliest path is two blanks (0.36), and three others say A (0.16 + 0.24 + 0.24)."""
    p_TC = np.array([[0.6, 0.0, 0.4, 0.0]] * 2) + 1e-12
    assert found(p_TC) == ("A",)


def test_a_score_of_words_makes_more_or_fewer_of_them():
    p_TC = np.full((3, 4), 0.001)
    p_TC[0, 2], p_TC[2, 3] = 0.997, 0.997
    p_TC[1, :2] = 0.5, 0.498
    assert found(p_TC) == ("A", "B")
    assert found(p_TC, word_score=1.0) == ("A", " ", "B")
    assert found(p_TC[:, [0, 1, 2, 3]], word_score=-1.0) == ("A", "B")


def test_thousands_of_frames_do_not_vanish():
    frames = np.full((4, 4), 0.1)
    frames[range(4), [2, 0, 1, 3]] = 0.7
    p_TC = np.tile(frames, (500, 1))
    got = found(p_TC, weight=0.3, n_beams=4)
    assert len(got) > 1_000
    assert set(got) == {"A", " ", "B"}


# Scores of a head.


def clip(text, sounds):
    """Logits of one frame per letter, with a blank between: `sounds` gives P(A) of unclear ones."""
    frames = []
    for letter in text:
        p_C = np.full(4, 1e-3)
        if letter in "AB" and sounds is not None:
            p_C[2], p_C[3] = sounds, 1 - sounds
        else:
            p_C[NAMES.index(letter)] = 1
        frames += [p_C, np.array([1, 1e-3, 1e-3, 1e-3])]
    return np.log(np.array(frames)).astype(np.float32)[None]


def identity_head():
    shape = HeadShape(n_states=1, width=4, n_outputs=4, d_hidden=4)
    head = FrameLinear(shape)
    with torch.no_grad():
        for layer in (head.projection, head.output):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    return TrainedHead(
        task=ASR,
        head=head,
        slots=(NAMES,),
        model_digest="m",
        point=GridPoint(lr=1.0, value=0.0, step=1, n_skipped=0),
    )


def spoken():
    """Test and validation clips say A; the sound is rather that of B."""
    clips = {f"{part}-{i}": clip("A", 0.4) for part in ("valid", "test") for i in range(3)}
    clips |= {f"train-{i}": clip("A B", None) for i in range(3)}
    texts = {i: tuple("A B" if i.startswith("train") else "A") for i in clips}
    parts = {
        part: tuple(Example(id=i, target=texts[i], speaker=i) for i in clips if i.startswith(part))
        for part in ("train", "valid", "test")
    }
    features = FrozenFeatures(clips=clips, n_states=1, width=4, model_digest="m", corpus_digest="c")
    return features, Splits(**parts)


OF_A = NGram({(word,): (p, 0.0) for word, p in {"</s>": -0.3, "A": -0.3, "B": -2.0}.items()})


def model(*settings, **more):
    return LanguageModel(lm=OF_A, name="lm.arpa", digest="d", settings=settings, **more)


def test_the_validation_clips_select_the_weights():
    features, splits = spoken()
    cases, used = cases_with_lm(identity_head(), features, splits, model((0.0, 0.0)))
    assert cases.predictions == [("B",)] * 3
    assert (used["lm_weight"], used["n_settings"]) == (0.0, 1)
    two = model((0.0, 0.0), (1.0, 0.5), n_beams=3)
    cases, used = cases_with_lm(identity_head(), features, splits, two)
    assert cases.predictions == cases.references == [("A",)] * 3
    assert used == {
        "lm": "lm.arpa",
        "lm_digest": "d",
        "n_beams": 3,
        "lm_weight": 1.0,
        "word_score": 0.5,
        "n_settings": 2,
    }


def test_the_score_stands_beside_that_of_greedy_decoding(tmp_path):
    features, splits = spoken()
    protocol = replace(ASR.proxy, lrs=(1e-2,), n_steps=1, n_checks=1, d_hidden=4)
    task = replace(ASR, head="frame_linear")
    plain = run_task(task, features, splits, tmp_path / "a", protocol=protocol, seed=0)
    assert "with_lm" not in plain
    both = run_task(
        task, features, splits, tmp_path / "b", protocol=protocol, seed=0, lm=model((1.0, 0.0))
    )
    assert both["metrics"] == plain["metrics"]
    written = both["with_lm"]
    assert written["metrics"].keys() == written["intervals"].keys() == {"wer", "cer"}
    assert written["lm"] == "lm.arpa"
    other = run_task(
        KS, *toy_classes(), tmp_path / "c", protocol=replace(KS.proxy, n_steps=1), lm=model((1, 0))
    )
    assert "with_lm" not in other


def toy_classes():
    clips = {f"{part}-{c}": np.ones((1, 3, 4), np.float32) for part in "abc" for c in "xy"}
    parts = [
        tuple(Example(id=f"{part}-{c}", target=c, speaker=None) for c in "xy") for part in "abc"
    ]
    features = FrozenFeatures(clips=clips, n_states=1, width=4, model_digest="m", corpus_digest="c")
    return features, Splits(train=parts[0], valid=parts[1], test=parts[2])


@pytest.mark.parametrize(
    ("has_file", "n_beams", "weights", "problem"),
    [
        (False, 5, (), "--beam and --lm-weights need a language model; give --lm FILE.arpa"),
        (False, 20, (1.0, 2.0), "need a language model"),
        (True, 0, (), "--beam 0; allowed are whole numbers from 1"),
        (True, 20, (1.0,), "--lm-weights 1.0; give the weight of the language model and the score"),
        (True, 20, (1.0, math.nan), "--lm-weights 1.0 nan; give"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, has_file, n_beams, weights, problem):
    path = tmp_path / "lm.arpa"
    path.write_text("\\data\\\nngram 1=1\n\\1-grams:\n-0.5 A\n\\end\\\n")
    with pytest.raises(ConfigError, match=problem):
        open_language_model(path if has_file else None, n_beams, weights)
    assert open_language_model(None) is None
    given = open_language_model(path, 7, (0.87, -1.0))
    assert (given.n_beams, list(given.settings)) == (7, [(0.87, -1.0)])
    assert len(open_language_model(path).settings) == 12


def test_a_language_model_without_a_task_of_words_is_refused_before_anything_is_opened(tmp_path):
    with pytest.raises(ConfigError, match="--lm with --task ks pr; only asr has words"):
        score_model("fbank", ("ks", "pr"), ("nowhere",), tmp_path, seed=0, lm=model((1.0, 0.0)))
