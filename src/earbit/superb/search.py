"""Queries and documents of a corpus, for tasks of kind `match`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earbit.audio.corpus import Corpus
from earbit.errors import DataError

PARTS = ("valid", "test")


@dataclass(frozen=True, slots=True)
class Search:
    """Queries with their terms, and documents with the terms that they contain, by id."""

    queries: dict[str, str]
    documents: dict[str, frozenset[str]]

    @property
    def n_pairs(self) -> int:
        """Number of pairs of query and document."""
        return len(self.queries) * len(self.documents)


def searches_of(corpus: Corpus) -> dict[str, Search]:
    """The search of the validation queries and that of the test queries.

    A query has the label `query`, a term.  A document has `terms`, a list, or `text`, whose words
    are its terms.  Queries need a split; documents without one belong to both parts.  Raises
    DataError for a part without a query that some documents match and others do not.
    """
    searches = {part: Search({}, {}) for part in PARTS}
    for cut in corpus.cuts:
        labels: Mapping[str, Any] = cut.custom or {}
        split, query = labels.get("split"), labels.get("query")
        terms = labels.get("terms", labels.get("text"))
        for part in PARTS:
            if isinstance(query, str) and query:
                if split == part:
                    searches[part].queries[cut.id] = query.upper()
            elif isinstance(terms, (str, list)) and split in (None, "train", part):
                words = terms.split() if isinstance(terms, str) else map(str, terms)
                searches[part].documents[cut.id] = frozenset(w.upper() for w in words)
    for part, search in searches.items():
        n_documents = Counter(term for terms in search.documents.values() for term in terms)
        found = {n_documents[term] for term in search.queries.values()}
        if not found - {0, len(search.documents)}:
            raise DataError(
                f"corpus {corpus.name}: {len(search.queries)} {part} queries and "
                f"{len(search.documents)} documents, and no query whose term is in some documents "
                "and not in others; queries need `query` and `split` valid or test, documents "
                "`terms` or `text`"
            )
    return searches
