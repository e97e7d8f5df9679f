"""Published scores, shown beside scores of earbit.

Source: SUPERB, arXiv 2105.01051, table of results; arXiv 2110.01900 for DistilHuBERT; arXiv
2312.09040 for STaRHuBERT, whose QbE and SF scores are not among them.  They are of the full corpora
and the published protocol, so scores on other corpora do not compare with them.
"""

from __future__ import annotations

PUBLISHED: dict[str, dict[str, float]] = {
    "HuBERT Base": {
        "n_parameters": 94.68e6,
        "per": 0.0541, "wer": 0.0642, "wer with LM": 0.0479, "ks accuracy": 0.9630, "mtwv": 0.0736,
        "sid accuracy": 0.8142, "eer": 0.0511, "der": 0.0588, "ic accuracy": 0.9834,
        "slot_type_f1": 0.8853, "slot_value_cer": 0.2520, "er accuracy": 0.6492,
    },
    "wav2vec 2.0 Base": {
        "n_parameters": 95.04e6,
        "per": 0.0574, "wer": 0.0643, "wer with LM": 0.0479, "ks accuracy": 0.9623, "mtwv": 0.0233,
        "sid accuracy": 0.7518, "eer": 0.0602, "der": 0.0608, "ic accuracy": 0.9235,
        "slot_type_f1": 0.8830, "slot_value_cer": 0.2477, "er accuracy": 0.6343,
    },
    "DistilHuBERT": {
        "n_parameters": 23.49e6,
        "per": 0.1627, "wer": 0.1337, "ks accuracy": 0.9598, "mtwv": 0.0511, "sid accuracy": 0.7354,
        "eer": 0.0855, "der": 0.0619, "ic accuracy": 0.9499, "slot_type_f1": 0.8257,
        "slot_value_cer": 0.3559, "er accuracy": 0.6302,
    },
    "STaRHuBERT": {
        "n_parameters": 22.31e6,
        "per": 0.0816, "wer": 0.0935, "ks accuracy": 0.9627, "sid accuracy": 0.7758,
        "eer": 0.0539, "der": 0.0605, "ic accuracy": 0.9755, "er accuracy": 0.6301,
    },
    "FBANK": {
        "per": 0.8201, "wer": 0.2318, "wer with LM": 0.1521, "ks accuracy": 0.0863, "mtwv": 0.0058,
        "sid accuracy": 8.5e-4, "eer": 0.0956, "der": 0.1005, "ic accuracy": 0.0910,
        "slot_type_f1": 0.6964, "slot_value_cer": 0.5294, "er accuracy": 0.3539,
    },
}  # fmt: skip
"""Value by column of the report, for each system."""
