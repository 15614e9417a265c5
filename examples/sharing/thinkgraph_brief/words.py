"""A tool and a verifier, which specs name and hosts bind."""


def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


def is_brief(question: str, text: str) -> float:
    """1 for an answer of at most twelve words, less for a longer one."""
    return min(1.0, 12 / max(1, count_words(text)))
