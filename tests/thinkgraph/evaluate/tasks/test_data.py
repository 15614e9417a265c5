"""Questions from files, and what is said of files that aren't as they should be."""

import csv
import json
import os
import random
import re

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.tasks import gym
from thinkgraph.evaluate.tasks.data import read_questions, sampled
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.record import DataError
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message

PAIRS = [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(30)]


@pytest.fixture
def jsonl(tmp_path):
    def write(records, name="data.jsonl"):
        path = tmp_path / name
        lines = [each if isinstance(each, str) else json.dumps(each) for each in records]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


def only(path, **more):
    """The one question of a file."""
    (question,) = read_questions(path, **more).questions
    return question


def fault(path, **more):
    """What is said of a file that can't be read."""
    with pytest.raises(DataError) as error:
        read_questions(path, **more)
    return str(error.value)


EXPECTED = [(each["question"], each["answer"]) for each in PAIRS]


class TestFormats:
    def asked(self, path, **more):
        return [(each.text, each.reference) for each in read_questions(path, **more).questions]

    def test_json_lines(self, jsonl):
        path = jsonl([*PAIRS[:3], "", *PAIRS[3:]])
        assert self.asked(path) == EXPECTED
        assert read_questions(path).name == "data"

    def test_a_json_list(self, tmp_path):
        path = tmp_path / "data.json"
        path.write_text(json.dumps(PAIRS, indent=1))
        assert self.asked(path) == EXPECTED

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_csv_with_line_breaks_and_separators_in_its_cells(self, tmp_path, separator):
        path = tmp_path / "data.csv"
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter=separator)
            writer.writerow(["Question", "Answer"])
            writer.writerow(['He said:\n"3, 4; 5\t6"', "é"])
            writer.writerows([each.values() for each in PAIRS])
        assert self.asked(path) == [('He said:\n"3, 4; 5\t6"', "é"), *EXPECTED]

    def test_tabs_separate_a_tsv_whatever_its_cells_hold(self, tmp_path):
        path = tmp_path / "data.tsv"
        path.write_text("Janet has 3 ducks, 4 geese, and 5 hens, say. How many?\t12\nTwo?\t2\n")
        assert [each.reference for each in read_questions(path).questions] == ["12", "2"]

    def test_a_hugging_face_dataset(self, tmp_path):
        table = datasets.Dataset.from_list(PAIRS)
        table.save_to_disk(str(tmp_path / "one"))
        assert self.asked(tmp_path / "one") == EXPECTED
        datasets.DatasetDict(train=table, test=table).save_to_disk(str(tmp_path / "two"))
        assert self.asked(tmp_path / "two" / "test") == EXPECTED
        said = fault(tmp_path / "two")
        assert str(tmp_path / "two" / "train") in said and "several splits" in said

    def test_a_dataset_without_the_package_says_how_to_get_it(self, tmp_path, monkeypatch):
        (tmp_path / "dataset_info.json").write_text("{}")
        monkeypatch.setitem(__import__("sys").modules, "datasets", None)
        assert "thinkgraph[datasets]" in fault(tmp_path)

    @given(
        st.lists(
            st.tuples(*[st.text(st.characters(codec="utf-8"), min_size=1)] * 2).filter(
                lambda pair: (
                    pair[0].strip()
                    and pair[1].strip()
                    and "#" not in pair[1]
                    and "\\" not in pair[1]
                )
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_any_text_comes_through_json_lines(self, tmp_path_factory, pairs):
        path = tmp_path_factory.mktemp("any") / "data.jsonl"
        lines = [json.dumps({"question": one, "answer": other}) for one, other in pairs]
        path.write_text("\n".join(lines))
        assert self.asked(path) == [(one, other.strip()) for one, other in pairs]


class TestBuiltIn:
    def test_word_problems(self):
        task = read_questions("word-problems:20", seed=3)
        assert (task.name, task.metric, len(task.questions)) == ("word-problems", "exact", 20)
        assert task == read_questions("word-problems:20", seed=3)
        assert task.questions == read_questions("word-problems:30", seed=3).questions[:20]
        assert len(read_questions("word-problems").questions) == 200

    def test_gsm8k_drops_the_reasoning(self, jsonl):
        worked = "She sells 16 - 3 = <<16-3=13>>13 eggs.\n#### 1,013"
        assert only(jsonl([{"question": "How many?", "answer": worked}])).reference == "1,013"

    def test_math_500_prefers_the_answer_to_the_solution(self, tmp_path):
        record = {
            "problem": "Find $x$.",
            "solution": r"So $x = \boxed{2}$.",
            "answer": r"\frac{1}{2}",
            "unique_id": "test/algebra/1.json",
        }
        path = tmp_path / "math.json"
        path.write_text(json.dumps([record]))
        question = only(path)
        assert (question.id, question.reference) == ("test/algebra/1.json", r"\frac{1}{2}")
        path.write_text(json.dumps([{k: v for k, v in record.items() if k != "answer"}]))
        assert only(path).reference == "2"

    @pytest.mark.parametrize(
        "source", ["word-problems:many", "word-problems:0", "word-problems:-1"]
    )
    def test_a_count_that_is_none(self, source):
        assert "a number of questions must follow" in fault(source)

    def test_more_problems_than_there_are(self):
        assert "there are only 28,160 different problems" in fault("word-problems:28161")

    def test_fields_are_for_files(self):
        assert "--field is for files" in fault("word-problems", fields={"question": "q"})

    def test_a_name_that_is_nearly_one(self):
        assert "did you mean word-problems?" in fault("word-problem")


class TestFields:
    def test_are_given_by_name_and_reach_into_objects(self, jsonl):
        path = jsonl([{"ask": "1 + 1?", "gold": {"value": 2}, "key": "a", "answer": "no"}])
        question = only(path, fields={"question": "ask", "answer": "gold.value", "id": "key"})
        assert (question.text, question.reference, question.id) == ("1 + 1?", "2", "a")

    @pytest.mark.parametrize("name", ["target", "label", "Expected_Output", "ground_truth"])
    def test_usual_names_are_guessed(self, jsonl, name):
        assert only(jsonl([{"prompt": "1 + 1?", name: "2"}])).reference == "2"

    @pytest.mark.parametrize(
        ("value", "text"), [(2, "2"), (2.5, "2.5"), (True, "true"), (["x"], "x")]
    )
    def test_plain_values_become_text(self, jsonl, value, text):
        assert only(jsonl([{"question": "?", "answer": value}])).reference == text

    def test_a_conversation_ends_with_the_question(self, jsonl):
        said = [
            {"role": "system", "content": "Price it."},
            {"role": "user", "content": "A lamp"},
            {"role": "assistant", "content": "$20", "weight": 1},
        ]
        tuned = only(jsonl([{"messages": said}]))
        assert (tuned.text, tuned.reference) == ("A lamp", "$20")
        assert tuned.messages == (Message(role="system", content="Price it."),)
        asked = only(jsonl([{"prompt": said[:2], "answer": "$30"}]))
        assert (asked.text, asked.reference, asked.messages) == ("A lamp", "$30", tuned.messages)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"question": "promt"}, "no field 'promt' for the question; did you mean 'prompt'?"),
            ({"answer": "zzz"}, "its fields are prompt, label"),
            ({"anser": "label"}, "did you mean `answer`?"),
        ],
    )
    def test_a_wrong_name_is_told_with_the_nearest(self, jsonl, fields, said):
        assert said in fault(jsonl([{"prompt": "?", "label": "1"}]), fields=fields)

    def test_no_field_that_could_be_it(self, jsonl):
        said = fault(jsonl([{"alpha": "?", "answer": "1"}]))
        assert "line 1: no field looks like the question" in said
        assert "alpha, answer" in said and "--field question=NAME" in said


CITIES = ["Rome", "Paris", "Oslo"]


class TestChoices:
    @pytest.mark.parametrize(
        ("choices", "answer"),
        [
            (CITIES, 1),
            (CITIES, "B"),
            (CITIES, "paris"),
            (json.dumps(CITIES), "1"),
            ({"x": "Rome", "y": "Paris", "z": "Oslo"}, "y"),
            ({"text": CITIES, "label": ["1", "2", "3"]}, "2"),
            ({"text": CITIES, "label": ["A", "B", "C"]}, "B"),
        ],
    )
    def test_are_lettered_below_the_question(self, jsonl, choices, answer):
        path = jsonl([{"question": "Capital of France?", "choices": choices, "answer": answer}])
        question = only(path)
        assert question.text == "Capital of France?\nA. Rome\nB. Paris\nC. Oslo"
        assert (question.reference, question.choices) == ("B", tuple(CITIES))
        task = read_questions(path)
        assert task.metric == "choice"
        find_metric("choice").check(task.questions)

    def test_arcs_answer_key(self, jsonl):
        choices = {"text": CITIES, "label": ["A", "B", "C"]}
        assert (
            only(jsonl([{"question": "?", "choices": choices, "answerKey": "C"}])).reference == "C"
        )

    def test_options_that_the_question_shows_already_are_not_shown_twice(self, jsonl):
        text = "Capital?\n(A) Rome\n(B) Paris"
        record = {"question": text, "choices": ["Rome", "Paris"], "answer": "B"}
        assert only(jsonl([record])).text == text

    def test_digits_are_options_before_they_are_places(self, jsonl):
        record = {"question": "1 + 1?", "choices": ["1", "2", "3"]}
        assert only(jsonl([record | {"answer": "2"}])).reference == "B"
        assert only(jsonl([record | {"answer": 2}])).reference == "C"

    @pytest.mark.parametrize("answer", ["D", "Berlin", 3, -1, None])
    def test_an_answer_that_is_none_of_them(self, jsonl, answer):
        record = {"question": "?", "choices": CITIES, "answer": answer}
        said = fault(jsonl([record | {"answer": 1}, record]))
        assert "an answer that is none of the options in 1 of 2 records: line 2" in said

    @pytest.mark.parametrize("choices", ["Rome", ["Rome"], ["Rome", "Rome"], 5, None])
    def test_what_is_no_choice(self, jsonl, choices):
        record = {"question": "?", "options": choices, "answer": "Rome"}
        assert "--field choices= for none" in fault(jsonl([record]))
        assert only(jsonl([record]), fields={"choices": ""}).reference == "Rome"


class TestIds:
    def test_stay_when_the_file_grows_is_shuffled_or_its_answers_are_mended(self, jsonl):
        before = {each.text: each.id for each in read_questions(jsonl(PAIRS[:10])).questions}
        mended = [each | {"answer": "0"} for each in PAIRS]
        random.Random(1).shuffle(mended)
        after = {each.text: each.id for each in read_questions(jsonl(mended)).questions}
        assert before.items() <= after.items()
        assert len(set(after.values())) == len(PAIRS)

    def test_the_same_question_twice_has_two(self, jsonl):
        first, second = read_questions(jsonl([PAIRS[0], PAIRS[0]])).questions
        assert second.id == f"{first.id}-2"

    def test_given_twice_is_a_fault_with_all_its_places(self, jsonl):
        path = jsonl([each | {"id": i % 28} for i, each in enumerate(PAIRS)])
        said = fault(path)
        assert "'0' at line 1, line 29; '1' at line 2, line 30" in said
        assert "--field id=" in said
        assert len(read_questions(path, fields={"id": ""}).questions) == len(PAIRS)


class TestLimit:
    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
    def test_a_smaller_sample_is_part_of_a_larger_one(self, one, other, seed):
        small, large = sorted([one, other])
        found = [
            read_questions("word-problems:30", limit=limit, seed=seed).questions
            for limit in (small, large)
        ]
        assert [len(each) for each in found] == [min(small, 30), min(large, 30)]
        assert {each.id for each in found[0]} <= {each.id for each in found[1]}

    def test_a_sample_keeps_the_files_order_and_is_no_beginning(self, jsonl):
        path = jsonl(PAIRS)
        everything = [each.id for each in read_questions(path).questions]
        taken = [each.id for each in read_questions(path, limit=10, seed=1).questions]
        assert taken == [each for each in everything if each in taken]
        assert taken != everything[:10]
        assert taken != [each.id for each in read_questions(path, limit=10, seed=2).questions]

    def test_every_question_has_the_same_chance(self, jsonl):
        path, counts = jsonl(PAIRS), dict.fromkeys(range(30), 0)
        places = {each.id: i for i, each in enumerate(read_questions(path).questions)}
        for seed in range(200):
            for each in read_questions(path, limit=10, seed=seed).questions:
                counts[places[each.id]] += 1
        assert all(40 <= count <= 95 for count in counts.values())  # 67 expected, sd 6.7

    @given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5))
    def test_a_sample_of_groups_has_each_in_proportion(self, one, other, seed):
        small, large = sorted([one, other])
        questions = tuple(
            Question(id=f"{group}{n}", text="?", reference="1", group=group)
            for group, size in (("easy", 40), ("hard", 20))
            for n in range(size)
        )
        few, many = (sampled(questions, limit, seed) for limit in (small, large))
        assert len(few) == small and {each.id for each in few} <= {each.id for each in many}
        assert abs(sum(each.group == "hard" for each in few) - small / 3) <= 1

    def test_none_at_all_is_refused(self):
        assert "it must be at least 1" in fault("word-problems", limit=0)


class TestFaults:
    def test_all_broken_lines_are_counted_and_the_first_are_named(self, jsonl):
        lines = [*PAIRS[:3], '{"question": ', "[1]", *PAIRS[3:], *["oops"] * 5, '"text"']
        said = fault(jsonl(lines))
        assert (
            "8 of 38 lines are broken: line 4 (Expecting value, column 13), line 5 (not an" in said
        )
        assert said.count("line ") == 6 and "and 3 more" in said  # five named, and "each line"

    def test_one_broken_line(self, jsonl):
        assert "1 of 2 lines is broken: line 2" in fault(jsonl([PAIRS[0], "{"]))

    def test_lines_nested_beyond_all_bounds(self, jsonl):
        assert "line 2 (nested too deeply)" in fault(jsonl([PAIRS[0], "[" * 100_000]))

    def test_a_missing_field_names_the_records_and_the_fields_there_are(self, jsonl):
        said = fault(jsonl([*PAIRS[:2], {"question": "?", "label": "1"}, {"question": "!"}]))
        assert (
            "no field 'answer' in 1 of 4 records: line 3; the fields there are question, label"
            in said
        )
        assert "in 1 of 4 records: line 4" in said

    @pytest.mark.parametrize("empty", ["", "  ", None, float("nan"), []])
    def test_an_empty_answer(self, jsonl, empty):
        said = fault(jsonl([*PAIRS[:2], {"question": "?", "answer": empty}]))
        assert "line 3" in said and re.search("empty answer|a list as answer", said)

    def test_an_infinite_answer(self, tmp_path):
        path = tmp_path / "data.jsonl"
        path.write_text('{"question": "?", "answer": 1e400}\n')
        assert "an infinite number as answer in 1 of 1 records: line 1" in fault(path)

    def test_an_empty_question(self, jsonl):
        assert "an empty question in 1 of 1 records: line 1" in fault(
            jsonl([{"question": " ", "answer": "1"}])
        )

    def test_several_kinds_of_faults_are_told_at_once(self, jsonl):
        said = fault(
            jsonl([*PAIRS[:2], {"question": "", "answer": "1"}, {"question": "?", "answer": ""}])
        )
        assert "an empty question" in said and "an empty answer" in said

    @pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.csv"])
    @pytest.mark.parametrize("content", ["", "\n\n"])
    def test_an_empty_file(self, tmp_path, name, content):
        (tmp_path / name).write_text(content)
        assert f"{name} is empty" in fault(tmp_path / name)

    def test_a_table_without_rows(self, tmp_path):
        (tmp_path / "data.csv").write_text("question,answer\n")
        assert "is empty" in fault(tmp_path / "data.csv")

    def test_a_file_that_is_not_there(self, jsonl, tmp_path):
        jsonl(PAIRS)
        assert "did you mean" in fault(tmp_path / "dat.jsonl")
        assert "nor a folder" in fault(tmp_path / "nowhere" / "data.csv")
        assert "there is no file" in fault("a\0b.csv")
        assert "there is no file" in fault("x" * 5000)

    def test_a_kind_that_is_not_read(self, tmp_path):
        (tmp_path / "data.parquet").write_bytes(b"PAR1")
        assert ".jsonl" in fault(tmp_path / "data.parquet")
        assert "without a saved Hugging Face dataset" in fault(tmp_path)

    def test_a_text_that_is_not_utf_8(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_bytes("question,answer\nWas?,ja\nWarum?,für\n".encode("latin-1"))
        assert only(path, fields={"question": "question"}, limit=1)
        path.write_bytes("question,answer\nWas?,ja\nПочему?,да\n".encode("cp1251"))
        assert "line 3: byte 1 is not UTF-8" in fault(path)

    def test_half_a_character(self, jsonl):
        said = fault(jsonl([PAIRS[0], r'{"question": "\ud800", "answer": "1"}']))
        assert "surrogate" in said and "line 2" in said

    def test_rows_with_too_few_or_too_many_cells(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_text("question,answer\n1?,1\n2?\n3?,3,3\n")
        said = fault(path)
        assert "2 rows have not as many cells as the first line, 2: line 3 (1), line 4 (3)" in said

    def test_a_quote_that_is_not_closed(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_text('question,answer\n"1?,1\n')
        assert "not CSV" in fault(path)

    def test_a_header_that_names_a_field_twice(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_text("question,answer,answer\n1?,1,2\n")
        assert "names answer more than once" in fault(path)

    def test_broken_json_has_its_line(self, tmp_path):
        path = tmp_path / "data.json"
        path.write_text('[\n{"question": "?",\n}]')
        assert "line 3: not JSON" in fault(path)
        path.write_text('{"question": "?", "answer": "1"}\n' * 2)
        assert "call it .jsonl" in fault(path)
        path.write_text('{"data": []}')
        assert "must hold a list of objects, not dict" in fault(path)
        path.write_text('[{"question": "?", "answer": "1"}, 3]')
        assert "item 2 of the list is not an object" in fault(path)

    @pytest.mark.parametrize("said", [[{"role": "robot", "content": "?"}], ["?"], [{}], []])
    def test_messages_that_can_not_be_read(self, jsonl, said):
        assert "each needs a role" in fault(jsonl([{"messages": said, "answer": "1"}]))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read(self, jsonl):
        path = jsonl(PAIRS)
        path.chmod(0)
        assert "Permission denied" in fault(path)


class TestReasoningGym:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("reasoning_gym")

    def test_questions_are_judged_by_their_own_scorer(self):
        task = read_questions("reasoning-gym:countdown:5", seed=1)
        judge = find_metric(task.metric)
        judge.check(task.questions)
        assert len({each.id for each in task.questions}) == 5
        assert task.questions[:3] == read_questions("reasoning-gym:countdown:3", seed=1).questions
        for each in task.questions:
            assert judge.score(each, each.reference, "").right
            # Another way to the same number, which no comparison with the answer would take.
            assert judge.score(each, f"({each.reference})", "").right
            assert not judge.score(each, "1 + 1", "").right

    def test_a_generator_that_is_not_there(self):
        with pytest.raises(ThinkgraphError, match="did you mean `countdown`"):
            read_questions("reasoning-gym:countdwn")

    def test_other_questions_are_refused(self):
        question = read_questions("word-problems:1").questions[0]
        with pytest.raises(ThinkgraphError, match="judges only questions that reasoning-gym made"):
            find_metric("reasoning-gym").score(question, "1", "")


def test_a_label_that_reasoning_gym_spells_with_a_capital_is_right_in_lower_case(monkeypatch):
    class Dataset(list):
        def score_answer(self, answer, entry):
            return float(answer == entry["answer"])

    entries = Dataset([{"question": "Does it follow?", "answer": "Yes"}])
    monkeypatch.setattr(gym, "_dataset", lambda name, size, seed: entries)
    question = Question(id="reasoning-gym/syllogism/0/0", text="Does it follow?", reference="Yes")
    judge = find_metric("reasoning-gym")
    assert judge.score(question, "yes", "").right
    assert not judge.score(question, "no", "").right


def test_reasoning_gym_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "reasoning_gym.factory", None)
    with pytest.raises(ThinkgraphError, match="pip install reasoning-gym"):
        read_questions("reasoning-gym:countdown_never_read")
