"""Interaction of errors: how far errors together exceed the sum of each alone, at the last state.

The error is `ErrorSums.log_error`, which is additive for independent errors.  A deep model is not
linear, so independent noise in place of quantization is the control, and the net figures subtract
it.  Decibels grow with the number of interacting blocks; coherence is an average over pairs of
them, where a block is one role in one layer.  docs/errors.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from earbit.nn.roles import Role
from earbit.quantize.propagation.groups import Group, stack_of
from earbit.quantize.propagation.measure import Errors

LastErrors = Mapping[Group, float]
"""Log error of the last state, by what is quantized or noisy."""


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
    roles: dict[Role, Interaction]
    """Within each role, the others in full precision."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A mixed encoder over an attention-only one of the same depth and width: differences.

    `excess_db`, of the last state's error, is `alone_db + within_db + between_db`.
    """

    mixed: str
    attention_only: str
    n_layers: int
    d_model: int
    excess_db: float | None
    alone_db: float | None
    within_db: float | None
    between_db: float | None
    net_between_db: float | None
    net_coherence_between: float | None
    """The hypothesis predicts a value above 0."""
    net_coherence_within: float | None


def interaction_of(errors: Errors) -> StackInteraction | None:
    """The interaction in a model's layers; None if nothing in them is quantized."""
    stack = stack_of(errors.groups)
    if not stack.roles:
        return None
    found, noise = (
        {group: states[-1].log_error for group, states in by_group.items()}
        for by_group in (errors.groups, errors.noise)
    )
    pairs = [group for group in errors.groups if len(group.roles) == 2]
    return StackInteraction(
        log_error=found[stack],
        alone=math.fsum(error for role in stack.roles for error in _blocks(found, role)),
        between=_net(_between(found, stack.roles), _between(noise, stack.roles)),
        within=_net(_within(found, stack.roles), _within(noise, stack.roles)),
        pairs={
            str(pair): _net(_between(found, pair.roles), _between(noise, pair.roles))
            for pair in pairs
        },
        roles={role: _net(_within(found, [role]), _within(noise, [role])) for role in stack.roles},
    )


def compare(
    mixed: StackInteraction, plain: StackInteraction, names: tuple[str, str], shape: tuple[int, int]
) -> Comparison:
    """Compares a mixed and an attention-only encoder; names: of both, shape: layers and width."""
    return Comparison(
        *names,
        *shape,
        excess_db=over_db(mixed.log_error, [plain.log_error]),
        alone_db=over_db(mixed.alone, [plain.alone]),
        within_db=_minus(mixed.within.db, plain.within.db),
        between_db=_minus(mixed.between.db, plain.between.db),
        net_between_db=_minus(mixed.between.net_db, plain.between.net_db),
        net_coherence_between=_minus(mixed.between.net_coherence, plain.between.net_coherence),
        net_coherence_within=_minus(mixed.within.net_coherence, plain.within.net_coherence),
    )


def over_db(together: float, alone: Iterable[float]) -> float | None:
    """10 log10 of an error over a sum of errors; None if either is 0 or infinite."""
    total = math.fsum(alone)
    if not (0 < together < math.inf and 0 < total < math.inf):
        return None
    return 10 * math.log10(together / total)


Figures = tuple[float | None, float | None]
"""Decibels and coherence."""


def _between(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Different roles together, against the sum of every role alone."""
    together, alone = errors[Group(tuple(roles))], [errors[Group((role,))] for role in roles]
    blocks = [_blocks(errors, role) for role in roles]
    most = _most([error for one in blocks for error in one]) - math.fsum(map(_most, blocks))
    return over_db(together, alone), _coherence(together - math.fsum(alone), most)


def _within(errors: LastErrors, roles: Sequence[Role]) -> Figures:
    """Every role in all layers, against the sum over single layers, summed over roles."""
    together = math.fsum(errors[Group((role,))] for role in roles)
    blocks = [_blocks(errors, role) for role in roles]
    alone = [error for one in blocks for error in one]
    most = math.fsum(map(_most, blocks))
    return over_db(together, alone), _coherence(together - math.fsum(alone), most)


def _blocks(errors: LastErrors, role: Role) -> list[float]:
    """Errors of a role in every single layer."""
    return [e for group, e in errors.items() if group.roles == (role,) and group.layer is not None]


def _most(errors: Sequence[float]) -> float:
    """The interaction of all pairs if amplitudes add: the sum of 2 sqrt(e_i e_j)."""
    return math.fsum(math.sqrt(error) for error in errors) ** 2 - math.fsum(errors)


def _coherence(gain: float, most: float) -> float | None:
    # Without pairs, `most` is 0 but for rounding errors.
    is_known = math.isfinite(gain) and 1e-9 * abs(gain) < most < math.inf
    return gain / most if is_known else None


def _net(found: Figures, noise: Figures) -> Interaction:
    (db, coherence), (noise_db, noise_coherence) = found, noise
    return Interaction(
        db=db,
        noise_db=noise_db,
        net_db=_minus(db, noise_db),
        coherence=coherence,
        noise_coherence=noise_coherence,
        net_coherence=_minus(coherence, noise_coherence),
    )


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right
