"""The words that announce an answer, in the languages that models write."""

import re

# By a word that the text must contain, the pattern: the word for answer, then `is` or a colon.
_LANGUAGES = {
    "answer": r"\banswer\b[*_]*(?:\s+(?:is|would\s+be|must\s+be|should\s+be)[*_]*\s*:?|\s*[:：])",
    "antwort": r"\bantwort\b[*_]*(?:\s+(?:ist|lautet)\s*:?|\s*:)",
    "lösung": r"\blösung\b[*_]*(?:\s+(?:ist|lautet)\s*:?|\s*:)",
    "ergebnis": r"\bergebnis\b[*_]*(?:\s+(?:ist|lautet)\s*:?|\s*:)",
    "réponse": r"\bréponse\b(?:\s+finale|\s+correcte)?[*_]*(?:\s+est\s*:?|\s*:)",
    "respuesta": r"\brespuesta\b(?:\s+final|\s+correcta)?[*_]*(?:\s+es\s*:?|\s*:)",
    "resposta": r"\bresposta\b(?:\s+final|\s+correta)?[*_]*(?:\s+é\s*:?|\s*:)",
    "risposta": r"\brisposta\b(?:\s+finale|\s+corretta)?[*_]*(?:\s+è\s*:?|\s*:)",
    "antwoord": r"\bantwoord\b[*_]*(?:\s+is\s*:?|\s*:)",
    "svar": r"\bsvar(?:et)?\b[*_]*(?:\s+(?:är|er)\s*:?|\s*:)",
    "odpowiedź": r"\bodpowiedź\b[*_]*(?:\s+to\s*:?|\s*:)",
    "jawaban": r"\bjawaban(?:nya)?\b[*_]*(?:\s+adalah\s*:?|\s*:)",
    "đáp án": r"\bđáp\sán\b[*_]*(?:\s+là\s*:?|\s*:)",
    "vastaus": r"\bvastaus\b[*_]*(?:\s+on\s*:?|\s*:)",
    "odpověď": r"\bodpověď\b[*_]*(?:\s+je\s*:?|\s*:)",
    "απάντηση": r"\bαπάντηση\b[*_]*(?:\s+είναι\s*:?|\s*:)",
    "відповідь": r"\bвідповідь\b[*_]*\s*[:—–-]",
    "תשובה": r"תשובה\s*(?:היא)?\s*:?",
    "cevap": r"\bcevap\b[*_]*\s*:",
    "ответ": r"\bответ\b[*_]*\s*(?:[:—–-]|равен)",
    "答案": r"答案[*_]*\s*(?:应该)?(?:是|为|為|[:：])\s*[:：]?",
    "答え": r"答え[*_]*\s*(?:は|[:：])",
    "답": r"(?:정답|답)[*_]*\s*(?:은|는|[:：])",
    "उत्तर": r"उत्तर\s*(?:है)?\s*[:：]",
    "الإجابة": r"الإجابة\s*(?:هي|هو)?\s*:?",
    "الجواب": r"الجواب\s*(?:هي|هو)?\s*:?",
}
_PATTERNS = {
    word: re.compile(rf"(?i:{pattern})[*_]*(?i:\s+that\b)?") for word, pattern in _LANGUAGES.items()
} | {"####": re.compile("####")}


def markers(text: str) -> list[re.Match[str]]:
    """The markers of an answer in a text, in order; `####` is one, as in GSM8K."""
    folded = text.lower()
    found = [
        match
        for word, pattern in _PATTERNS.items()
        if word in folded
        for match in pattern.finditer(text)
    ]
    return sorted(found, key=re.Match.start)
