"""Interaction of errors: how far errors together exceed the sum of each alone, at the last state.

The error is `ErrorSums.log_error`, which is additive for independent errors.  A deep model is not
linear, so independent noise in place of quantization is the control, and the net figures subtract
it.  Decibels grow with the number of interacting blocks; coherence is an average over pairs of
them, where a block is one role in one layer.  docs/propagation.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from earbit.nn.roles import Role
from earbit.quantize.propagation.groups import Group, stack_of
from earbit.quantize.propagation.measure import Errors

LastErrors = Mapping[Group, float]
"""Log error of the last state, by what is quantized or noisy."""
Figures = tuple[float | None, float | None]
"""Decibels and coherence."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """Figures of quantization, of independent noise, and net: the first less the second.

    None where a figure is undefined: no error, no signal left, or nothing to interact with.
    """

    db: float | None
    """10 log10 of the error together over the sum of the errors alone."""
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
    """With all of them quantized."""
    alone: float
    """Sum over all blocks, each quantized alone."""
    between: Interaction
    """Between blocks of different roles."""
    within: Interaction
    """Between blocks of one role in different layers."""
    pairs: dict[str, Interaction]
    """Between two roles, the others in full precision."""
    roles: dict[str, Interaction]
    """Within each role, the others in full precision."""


def interaction_of(errors: Errors) -> StackInteraction:
    """The interaction in a model's layers."""
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
    """10 log10 of an error over a sum of errors; None if either is 0 or infinite."""
    total = math.fsum(alone)
    if not (0 < together < math.inf and 0 < total < math.inf):
        return None
    return 10 * math.log10(together / total)


def _between(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Different roles together, against the sum of every role alone."""
    alone = [errors[Group((role,))] for role in roles]
    blocks = [_blocks(errors, role) for role in roles]
    most = _most([error for one in blocks for error in one]) - math.fsum(map(_most, blocks))
    return _figures(errors.get(Group(tuple(roles)), 0.0), alone, most)


def _within(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Every role in all layers, against the sum over single layers, summed over roles."""
    together = math.fsum(errors[Group((role,))] for role in roles)
    blocks = [_blocks(errors, role) for role in roles]
    alone = [error for one in blocks for error in one]
    return _figures(together, alone, math.fsum(map(_most, blocks)))


def _blocks(errors: LastErrors, role: Role) -> list[float]:
    """Errors of a role in every single layer."""
    return [e for group, e in errors.items() if group.roles == (role,) and group.layer is not None]


def _most(errors: Sequence[float]) -> float:
    """The interaction of all pairs if amplitudes add: the sum of 2 sqrt(e_i e_j)."""
    return math.fsum(math.sqrt(error) for error in errors) ** 2 - math.fsum(errors)


def _figures(together: float, alone: Sequence[float], most: float) -> Figures:
    gain = together - math.fsum(alone)
    # Without pairs, `most` is 0 up to rounding; with an infinite error it is nan.
    has_pairs = 1e-9 * abs(gain) < most < math.inf
    return over_db(together, alone), gain / most if has_pairs else None


def minus(left: float | None, right: float | None) -> float | None:
    """The difference; None if either is undefined."""
    return None if left is None or right is None else left - right
