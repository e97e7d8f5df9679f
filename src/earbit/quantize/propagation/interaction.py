"""Interaction of errors at the last hidden state: joint error against the sum of single errors.

The error is `ErrorSums.log_error`, which is additive for independent errors.  A deep model is not
linear, so independent noise in place of quantization is the control, and the net figures subtract
it.  A block is one role in one layer.  Decibels grow with the number of interacting blocks, and
coherence is an average over pairs of blocks.  See docs/propagation.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from earbit.nn.roles import Role
from earbit.quantize.propagation.groups import Group, stack_of
from earbit.quantize.propagation.measure import Errors

LastErrors = Mapping[Group, float]
"""Log error of the last state by quantized or noisy group."""
Figures = tuple[float | None, float | None]
"""Interaction in decibels, and coherence."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """Interaction of quantization errors, of independent noise, and their difference (net).

    A figure is None if it is undefined: no error, no remaining signal, or a single block.
    """

    db: float | None
    """10 log10 of the joint error divided by the sum of the single errors."""
    noise_db: float | None
    net_db: float | None
    coherence: float | None
    """0 for independent errors, 1 if their amplitudes add, below 0 if they cancel."""
    noise_coherence: float | None
    net_coherence: float | None


@dataclass(frozen=True, slots=True)
class StackInteraction:
    """Interaction of all quantized leaves in encoder layers."""

    log_error: float
    """Log error with all leaves quantized."""
    alone: float
    """Sum of the log errors of all blocks, each quantized alone."""
    between: Interaction
    """Interaction between blocks of different roles."""
    within: Interaction
    """Interaction between blocks of one role in different layers."""
    pairs: dict[str, Interaction]
    """Interaction between two roles, with other roles in full precision."""
    roles: dict[str, Interaction]
    """Interaction within each role, with other roles in full precision."""


def interaction_of(errors: Errors) -> StackInteraction:
    """Computes the interaction in the encoder layers of a model."""
    found, noise = (
        {group: states[-1].log_error for group, states in by_group.items()}
        for by_group in (errors.groups, errors.noise)
    )

    def interaction(figures: Callable[..., Figures], roles: tuple[Role, ...]) -> Interaction:
        (db, coherence), (noise_db, noise_coherence) = figures(found, roles), figures(noise, roles)
        return Interaction(
            db=db,
            noise_db=noise_db,
            net_db=minus(db, noise_db),
            coherence=coherence,
            noise_coherence=noise_coherence,
            net_coherence=minus(coherence, noise_coherence),
        )

    stack = stack_of(errors.groups)
    pairs = [group for group in errors.groups if len(group.roles) == 2]
    return StackInteraction(
        log_error=found.get(stack, 0.0),
        alone=math.fsum(error for role in stack.roles for error in _blocks(found, role)),
        between=interaction(_between, stack.roles),
        within=interaction(_within, stack.roles),
        pairs={str(pair): interaction(_between, pair.roles) for pair in pairs},
        roles={role: interaction(_within, (role,)) for role in stack.roles},
    )


def over_db(together: float, alone: Iterable[float]) -> float | None:
    """10 log10 of an error divided by a sum of errors; None if either is 0 or infinite."""
    total = math.fsum(alone)
    if not (0 < together < math.inf and 0 < total < math.inf):
        return None
    return 10 * math.log10(together / total)


def _between(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Joint error of different roles against the sum of each role alone."""
    alone = [errors[Group((role,))] for role in roles]
    blocks = [_blocks(errors, role) for role in roles]
    most = _most([error for one in blocks for error in one]) - math.fsum(map(_most, blocks))
    return _figures(errors.get(Group(tuple(roles)), 0.0), alone, most)


def _within(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Error of each role in all layers against the sum over single layers, summed over roles."""
    together = math.fsum(errors[Group((role,))] for role in roles)
    blocks = [_blocks(errors, role) for role in roles]
    alone = [error for one in blocks for error in one]
    return _figures(together, alone, math.fsum(map(_most, blocks)))


def _blocks(errors: LastErrors, role: Role) -> list[float]:
    """Errors of a role in each single layer."""
    return [e for group, e in errors.items() if group.roles == (role,) and group.layer is not None]


def _most(errors: Sequence[float]) -> float:
    """Maximum interaction, when the amplitudes of all pairs add: the sum of 2 sqrt(e_i e_j)."""
    return math.fsum(math.sqrt(error) for error in errors) ** 2 - math.fsum(errors)


def _figures(together: float, alone: Sequence[float], most: float) -> Figures:
    gain = together - math.fsum(alone)
    # `most` is 0 up to rounding without pairs, and nan with an infinite error.
    has_pairs = 1e-9 * abs(gain) < most < math.inf
    return over_db(together, alone), gain / most if has_pairs else None


def minus(left: float | None, right: float | None) -> float | None:
    """Difference, or None if an operand is undefined."""
    return None if left is None or right is None else left - right
