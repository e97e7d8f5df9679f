"""Names on the command line, checked before PyTorch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from earbit.audio.corpus_names import require_corpus
from earbit.config import value_of
from earbit.model_names import require_model, require_recipe
from earbit.quantize.plan import plan_named


def check_models(models: Iterable[str], plans: Iterable[str] = ()) -> None:
    """Raises ConfigError or FormatError for a name that is no model, preset or plan."""
    for plan in plans:
        plan_named(plan)
    for model in models:
        require_model(model)


def check_recipe(recipe: str, settings: Sequence[str]) -> None:
    """Raises ConfigError for an unknown recipe, and DataError for a missing corpus in settings."""
    require_recipe(recipe)
    for setting in settings:
        field, _, text = setting.partition("=")
        if field.strip() == "corpus":
            value = value_of(text)
            require_corpus(value if isinstance(value, str) else text)
