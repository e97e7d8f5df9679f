"""Records of made-up results, table by table."""

import math
import random
from typing import Any

from earbit.nn.roles import ROLES

ENCODERS = {
    # storage in MB, GMAC, share of fp32 accuracy kept in 1 bit, layers
    "hubert-tiny": (1.93, 0.75, 0.93, 3),
    "conformer-tiny": (1.31, 0.66, 0.80, 3),
    "squeezeformer-tiny": (1.22, 0.63, 0.77, 3),
    "sparseformer-dn-tiny": (0.98, 0.60, 0.91, 4),
    "sparseformer-sw-tiny": (1.52, 0.62, 0.94, 2),
}
# metric, value in fp32, chance, standard error
METRICS = {
    "pr": ("per", 0.55, 1.0, 0.012),
    "asr": ("wer", 0.62, 1.0, 0.02),
    "ks": ("accuracy", 0.87, 0.19, 0.02),
    "qbe": ("mtwv", 0.12, 0.0, 0.03),
    "sid": ("accuracy", 0.78, 0.07, 0.03),
    "asv": ("eer", 0.22, 0.5, 0.02),
    "sd": ("der", 0.16, 1.0, 0.012),
    "ic": ("accuracy", 0.71, 0.25, 0.04),
    "sf": ("slot_type_f1", 0.66, 0.0, 0.03),
    "er": ("accuracy", 0.48, 0.25, 0.04),
}
LOWER = ("per", "wer", "eer", "der")
PEERS = {"torch": 1.9, "onnxruntime": 1.25, "openvino": 1.05}
OPS = {
    "conv_b1": ("front_end", 0.30),
    "gemm_b1": ("feed_forward", 0.22),
    "attention_b1": ("attention", 0.16),
    "group_norm": ("front_end", 0.11),
    "layer_norm": (None, 0.08),
    "pack": ("position", 0.06),
    "gelu": (None, 0.04),
    "depthwise_b1": ("convolution", 0.02),
    "add": (None, 0.01),
}


def bits_of(plan: str) -> int:
    return {"fp32": 32, "w8a8": 8, "w1a1": 1}.get(plan, 4)


def megabytes(encoder: str, plan: str) -> float:
    full = ENCODERS[encoder][0]
    return full * (0.08 + 0.92 * bits_of(plan) / 32)


def milliseconds(encoder: str, plan: str) -> float:
    return 62 * ENCODERS[encoder][1] * {32: 1.0, 8: 0.45, 4: 0.4, 1: 0.22}[bits_of(plan)]


def steps_of(runs: list[tuple[str, str, int]], draw: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{stage} {encoder} {plan} {s}",
            "stage": stage,
            "encoder": encoder,
            "plan": plan,
            "seed": s,
            "task": None,
            "state": "done",
            "wall_s": round(draw.uniform(2, 60), 1),
            "error": None,
        }
        for encoder, plan, s in runs
        for stage in ("train", "cost", "export", "superb", "time")
    ]


def units_of(draw: random.Random) -> dict[str, Any]:
    histogram = [round(142_024 / 50 * draw.lognormvariate(0, 0.4)) for _ in range(50)]
    return {
        "iteration": 1,
        "encoder": None,
        "plan": None,
        "seed": 0,
        "feature": "mfcc",
        "layer": None,
        "rate_hz": 100,
        "n_units": 50,
        "labels_digest": "b77bc240b23f2d531b5b9986d4d8c042009a13d7ba0ce4f73ca3655c5c4cff3e",
        "quality": {
            "n_frames": sum(histogram),
            "n_dead_units": 0,
            "entropy_bits": 5.378,
            "phone_purity": 0.368,
            "cluster_purity": 0.313,
            "pnmi": 0.402,
        },
        "histogram": histogram,
    }


def training_of(draw: random.Random, encoder: str, plan: str, seed: int) -> dict[str, Any]:
    start, end = (3.9, 2.6) if plan == "fp32" else (6.0, 3.4)
    step = list(range(5, 305, 5))
    loss = [end + (start - end) * math.exp(-s / 70) + draw.gauss(0, 0.05) for s in step]
    accuracy = [0.45 * (1 - math.exp(-s / 90)) + draw.gauss(0, 0.01) for s in step]
    return {
        "encoder": encoder,
        "plan": plan,
        "seed": seed,
        "iteration": 1 if plan == "fp32" else None,
        "n_steps": 300,
        "valid_accuracy": accuracy[-1],
        "commonest_unit": 0.041,
        "curve": {"step": step, "loss": loss, "accuracy": accuracy},
    }


def cost_of(encoder: str, plan: str) -> dict[str, Any]:
    gmac, bits = ENCODERS[encoder][1], bits_of(plan)
    weight = {"front_end": 0.5, "attention": 0.2, "feed_forward": 0.2, "position": 0.06}
    weight |= {"convolution": 0.04 if "former-tiny" in encoder else 0.0}
    figures = {
        "macs": gmac * 1e9,
        "flops": 2.03e9 * gmac,
        "bops": gmac * 1e9 * (bits**2 * 0.995 + 5),
        "estimate_ms": {
            "a100-fp32": 0.103 * gmac * (1.0 if bits == 32 else 0.03),
            "cortex-a76": 52.0 * gmac * (1.0 if bits == 32 else 0.12),
        },
    }
    return {
        "encoder": encoder,
        "name": encoder,
        "plan": plan,
        "parameters": round(ENCODERS[encoder][0] * 250_000),
        "storage_bytes": round(1e6 * megabytes(encoder, plan)),
        **figures,
        "seconds": 10.0,
        "groups": {
            role: {"macs": figures["macs"] * weight.get(role, 0.0), "bops": 0, "storage_bits": {}}
            for role in ROLES
        },
    }


def by_length(encoder: str) -> dict[str, Any]:
    seconds = [1, 2, 5, 10, 20, 60]
    square = 0.0 if "sparse" in encoder else 0.004
    gmac = ENCODERS[encoder][1]
    macs = [1e8 * gmac * s * (1 + square * s) for s in seconds]
    return {"name": encoder, "seconds": seconds, "macs": macs}


def times_of(draw: random.Random, encoder: str, plan: str) -> list[dict[str, Any]]:
    ours = milliseconds(encoder, plan) * draw.uniform(0.95, 1.05)
    engines = {"earbit": ours}
    full = milliseconds(encoder, "fp32")
    peers = PEERS if plan == "fp32" else ("torch",)  # in turns with each plan
    engines |= {engine: PEERS[engine] * full for engine in peers}
    return [
        {
            "encoder": encoder,
            "plan": plan,
            "seconds": 10.0,
            "threads": 1,
            "engine": engine,
            "precision": plan if engine == "earbit" else "fp32",
            "n_runs": 7,
            "median_ms": ms,
            "p10_ms": 0.95 * ms,
            "p90_ms": 1.12 * ms,
            "rtf": ms / 10_000,
            "peak_rss_bytes": 57_810_944 if engine == "earbit" else 412_000_000,
        }
        for engine, ms in engines.items()
    ]


def ops_of(draw: random.Random, encoder: str, plan: str) -> dict[str, Any]:
    ms = milliseconds(encoder, plan)
    return {
        "encoder": encoder,
        "plan": plan,
        "seconds": 10.0,
        "threads": 1,
        "ops": [
            {
                "op": op.replace("_b1", "_f32") if plan == "fp32" else op,
                "role": role,
                "ms": ms * share * draw.uniform(0.8, 1.2),
                "share_of_ceiling": draw.uniform(0.2, 0.7) if "b1" in op else None,
            }
            for op, (role, share) in OPS.items()
        ],
    }


def propagation_of(draw: random.Random, encoder: str, plan: str, seed: int) -> dict[str, Any]:
    mixed = encoder.startswith(("conformer", "squeezeformer"))
    roles = ["attention", "convolution", "feed_forward"] if mixed else ["attention", "feed_forward"]
    modules, carried = [], 0.0
    for layer in range(ENCODERS[encoder][3]):
        for role in roles:
            alone = draw.uniform(4.0, 9.0)
            carried = 0.8 * carried + 10 ** (-alone / 10) * (1.2 if mixed else 0.8)
            modules.append(
                {
                    "leaf": f"encoder.layers.{layer}.{role}",
                    "role": role,
                    "layer": layer,
                    "precision": plan,
                    "alone": {"sqnr_db": alone, "noise_to_signal": 10 ** (-alone / 10)},
                    "accumulated": {
                        "sqnr_db": -10 * math.log10(carried),
                        "noise_to_signal": carried,
                    },
                }
            )
    coherence = draw.gauss(0.25 if mixed else 0.15, 0.04)
    return {
        "encoder": encoder,
        "seed": seed,
        "plan": plan,
        "is_mixed": mixed,
        "n_layers": ENCODERS[encoder][3],
        "d_model": 64,
        "modules": modules,
        "states": {},
        "interaction": {"between": {"net_coherence": coherence}},
    }


def score_of(draw: random.Random, encoder: str, plan: str, seed: int, task: str) -> dict[str, Any]:
    metric, best, chance, half = METRICS[task]
    lower = metric in LOWER
    kept = {"fp32": 1.0, "random weights": 0.35, "-": 0.55}.get(plan)
    if kept is None:
        kept = ENCODERS[encoder][2]
    value = chance + (best - chance) * kept + draw.gauss(0, half / 3)
    return {
        "encoder": encoder,
        "plan": plan,
        "seed": seed,
        "task": task,
        "metric": metric,
        "metrics": {metric: value},
        "higher_is_better": not lower,
        "value": value,
        "interval": [value - half * draw.uniform(1.5, 2.0), value + half * draw.uniform(1.5, 2.0)],
        "interval_over": "speakers",
        "n_test": 186,
        "chance": chance,
        "packed_value": value if plan in ("fp32", "w1a1") and task == "ks" else None,
        "protocol": "proxy",
    }
