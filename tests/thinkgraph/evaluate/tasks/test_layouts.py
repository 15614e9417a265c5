"""Files laid out as those of well-known benchmarks and of spreadsheets, in small."""

import json

import pytest

from thinkgraph.evaluate.tasks.data import read_questions
from thinkgraph.evaluate.tasks.text import DataError

MMLU = "Capital of France?,Rome,Paris,Oslo,Bern,B\n"
CITIES = "Capital of France?\nA. Rome\nB. Paris\nC. Oslo\nD. Bern"
SVAMP = {
    "ID": "chal-1",
    "Body": "Each pack of dvds costs 76 dollars and there is a discount of 25 dollars on each",
    "Question": "How much do you have to pay to buy each pack?",
    "Equation": "( 76.0 - 25.0 )",
    "Answer": 51.0,
    "Type": "Subtraction",
}
AQUA = {
    "question": "20 km/hr for 2.5 hr: the distance?",
    "options": ["A)53 km", "B)55 km", "C)50 km"],
    "rationale": "20 * 2.5",
    "correct": "C",
}
CSQA = {
    "answerKey": "B",
    "question": {
        "stem": "The sanctions?",
        "choices": [{"label": "A", "text": "ignore"}, {"label": "B", "text": "enforce"}],
    },
}
BBH = {
    "canary": "none",
    "examples": [
        {"input": "Today is?\nOptions:\n(A) 01/11/1961\n(B) 01/23/2021", "target": "(B)"},
    ],
}
BIG_BENCH = {"examples": [{"input": "Is it?", "target_scores": {"yes": 0, "no": 1}}]}
SQUAD = {
    "context": "It was in 1066.",
    "question": "When?",
    "answers": {"text": ["1066", "in 1066"], "answer_start": [10, 7]},
}


@pytest.fixture
def read(tmp_path):
    def call(name, content, **more):
        path = tmp_path / name
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_questions(path, **more)

    return call


@pytest.mark.parametrize(
    ("name", "content", "text", "reference", "metric"),
    [
        ("mmlu.csv", f"question,A,B,C,D,answer\n{MMLU}", CITIES, "B", "choice"),
        ("mmlu_test.csv", MMLU, CITIES, "B", "choice"),
        ("svamp.json", [SVAMP], f"{SVAMP['Body']}\n{SVAMP['Question']}", "51.0", "exact"),
        (
            "aqua.jsonl",
            AQUA,
            f"{AQUA['question']}\nA. 53 km\nB. 55 km\nC. 50 km",
            "C",
            "choice",
        ),
        (
            "mathqa.json",
            [{"Problem": "x?", "options": "a ) 38 , b ) 27.675 , c ) none", "correct": "c"}],
            "x?\nA. 38\nB. 27.675\nC. none",
            "C",
            "choice",
        ),
        ("mgsm_de.tsv", 'Wie viel?\t18\nEin "rotes" Kleid?\t3\n', "Wie viel?", "18", "exact"),
        ("csqa.jsonl", CSQA, "The sanctions?\nA. ignore\nB. enforce", "B", "choice"),
        ("bbh.json", BBH, BBH["examples"][0]["input"], "B", "choice"),
        ("big_bench.json", BIG_BENCH, "Is it?\nA. yes\nB. no", "B", "choice"),
        (
            "boolq.jsonl",
            {"question": "is it?", "passage": "It is.", "answer": True},
            "It is.\nis it?",
            "true",
            "yes-no",
        ),
        ("squad.jsonl", SQUAD, "It was in 1066.\nWhen?", "1066", "exact"),
        (
            "winogrande.jsonl",
            {"sentence": "John _", "option1": "dog", "option2": "cat", "answer": "2"},
            "John _\nA. dog\nB. cat",
            "B",
            "choice",
        ),
        (
            "medmcqa.jsonl",
            {"question": "?", "opa": "x", "opb": "y", "opc": "z", "opd": "w", "cop": 2},
            "?\nA. x\nB. y\nC. z\nD. w",
            "C",
            "choice",
        ),
        (
            "truthful_qa.jsonl",
            {"question": "?", "mc1_targets": {"choices": ["x", "y"], "labels": [0, 1]}},
            "?\nA. x\nB. y",
            "B",
            "choice",
        ),
    ],
)
def test_a_benchmarks_layout_is_read_whole(read, name, content, text, reference, metric):
    task = read(name, content)
    found = task.questions[0]
    assert (found.text, found.reference, task.metric) == (text, reference, metric)


def test_several_right_answers_are_kept(read):
    assert read("squad.jsonl", SQUAD).questions[0].alternatives == ("in 1066",)


def test_fields_that_no_role_reads_are_told(read):
    (note,) = read("svamp.json", [SVAMP]).notes
    assert "not used: Equation, Type" in note and "--field" in note
    assert not read("mmlu.csv", f"question,A,B,C,D,answer\n{MMLU}").notes


def test_columns_taken_without_a_line_of_names_are_told(read):
    (note,) = read("mgsm.tsv", "Wie viel?\t18\n").notes
    assert "taken for question, answer" in note


def test_columns_of_options_can_be_named(read):
    fields = {"question": "ask", "answer": "key", "choices": "one,two"}
    (found,) = read("own.csv", "ask,one,two,key\n?,x,y,y\n", fields=fields).questions
    assert (found.choices, found.reference) == (("x", "y"), "B")


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8-sig", ""),
        ("utf-16", "read as UTF-16"),
        ("utf-16-le", "read as UTF-16-LE"),
        ("utf-32", "read as UTF-32"),
        ("cp1252", "read as Windows-1252: check that 'kostet’s?,20' is right"),
    ],
)
def test_an_encoding_is_known_by_its_marks_and_told(read, encoding, note):
    task = read("preise.csv", "question,answer\nWas kostet’s?,20 €\n".encode(encoding))
    assert (task.questions[0].text, task.questions[0].reference) == ("Was kostet’s?", "20 €")
    assert note in " ".join(task.notes)


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "gbk"])
def test_other_encodings_are_refused(read, encoding):
    text = "Почему" if encoding == "cp1251" else "日本語の質問と回答の一覧表"
    with pytest.raises(DataError, match="line 2: byte 1 is not UTF-8"):
        read("data.csv", f"question,answer\n{text},1\n".encode(encoding))


def test_what_is_no_text_is_refused(read):
    with pytest.raises(DataError, match="binary file"):
        read("data.csv", b"question,answer\nx\0y,1\n" + b"a?,1\n" * 10)


def test_a_cell_may_be_longer_than_128_kib(read):
    (found,) = read("long.csv", f'question,answer\n"{"x " * 100_000}?",1\n').questions
    assert len(found.text) > 200_000


def test_empty_rows_are_skipped_and_counted(read):
    task = read("gaps.csv", "question,answer\na?,1\n,\n\n , \nb?,2\n")
    assert [each.text for each in task.questions] == ["a?", "b?"]
    assert task.notes == ("2 empty records were skipped",)


def test_several_right_options_are_refused(read):
    with pytest.raises(DataError, match="several right options"):
        read("two.jsonl", {"question": "?", "choices": ["x", "y", "z"], "answer": ["x", "y"]})


def test_unused_fields_within_an_object_are_told(read):
    options = [{"label": "A", "text": "cave"}, {"label": "B", "text": "sea"}]
    asked = {"stem": "Where is a bat?", "question_concept": "bat", "choices": options}
    (note,) = read("nested.json", [{"id": "1", "question": asked, "answerKey": "A"}]).notes
    assert "not used: question.question_concept (" in note


def test_a_field_is_guessed_by_a_word_of_its_name(read):
    table = "Ticket,Customer question,Expected reply,Answer type\nT1,Why?,Because,text\n"
    task = read("support.csv", table)
    assert (task.questions[0].text, task.questions[0].reference) == ("Why?", "Because")
    assert "read were question: Customer question; answer: Expected reply" in task.notes[0]


def test_all_missing_fields_are_told_at_once(read):
    with pytest.raises(DataError, match=r"question or the answer.*question=NAME --field answer="):
        read("x.csv", "a,b\n1,2\n")
