"""What counts as a good answer, and metrics of other packages."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.metrics.metric import MetricError
from thinkgraph.evaluate.metrics.number import estimated_number, exact_number
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import expected_extractor


def question(reference, text="What?", choices=()):
    return Question(id="q", text=text, reference=reference, choices=choices)


def judged(metric, answer, reference, text="", **more):
    return find_metric(str(metric)).score(question(reference, **more), answer, text)


@pytest.mark.parametrize(
    ("metric", "answer", "reference", "right"),
    [
        ("exact", "0.5", "1/2", True),
        ("exact", r"\frac{1}{2}", "0.5", True),
        ("exact", "paris", "Paris.", True),
        ("exact", "0.51", "1/2", False),
        ("numeric", "$1,299.00", "1299", True),
        ("numeric", "1299.01", "1299", False),
        ("numeric:0.01", "1299.01", "1299", True),
        ("numeric:0.01", "1299.02", "1299", False),
        ("numeric:1%", "101", "100", True),
        ("numeric:1%", "101.01", "100", False),
        ("numeric:1%", "99", "100", True),
        ("numeric:10%", "-110", "-100", True),
        ("numeric:10%", "110", "-100", False),
        ("estimate:20%", "120", "100", True),
        ("estimate:20%", "79.99", "100", False),
        ("estimate:5", "USD 15", "$20.00", True),
        ("estimate", "about 1.1k dollars", "1000", True),
    ],
)
def test_an_answer_is_judged_by_value(metric, answer, reference, right):
    score = judged(metric, answer, reference)
    assert score.right is right
    assert not score.abstained


@pytest.mark.slow
@given(st.integers(-(10**6), 10**6), st.integers(0, 200), st.booleans())
def test_within_a_percentage_means_of_the_right_number(truth, percent, above):
    bound = abs(truth) * percent
    scaled = truth * 100 + (bound if above else -bound)
    inside, outside = scaled, scaled + (1 if above else -1)
    name = f"numeric:{percent}%"
    assert judged(name, f"{inside}/100", str(truth)).right
    assert not judged(name, f"{outside}/100", str(truth)).right


@pytest.mark.parametrize("metric", ["exact", "numeric", "choice", "estimate"])
def test_no_answer_is_wrong_and_an_abstention(metric):
    score = judged(metric, None, "1", choices=("a", "b"))
    assert (score.value, score.abstained, score.error) == (0, True, None)


@pytest.mark.parametrize("metric", ["exact", "numeric", "estimate"])
def test_a_run_that_failed_is_wrong_but_did_not_abstain(metric):
    score = find_metric(metric).score_row(question("1"), Row.failed("q", "direct", "out of memory"))
    assert (score.value, score.abstained) == (0, False)


class TestNumber:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("$1,299.00", 1299),
            ("The price is $45.50.", 45.5),
            ("1.2k", 1200),
            ("$3M", 3_000_000),
            ("about 1.5 million dollars", 1_500_000),
            ("12.50 USD", 12.5),
            ("€20", 20),
            ("-5", -5),
            ("**$20**", 20),
            ("5m", 5),
            ("1.299,00 €", 1299),
            ("12,5", 12.5),
            ("Der Preis ist 12,5 Euro.", 12.5),
            ("1,5 million", 1_500_000),
        ],
    )
    def test_is_read_as_people_write_it(self, text, number):
        assert exact_number(text) == estimated_number(text) == number

    @pytest.mark.parametrize("text", ["$1,200 - $1,500", "cheap", "", "nan", "inf"])
    def test_is_not_guessed_where_it_is_not_clear_which(self, text):
        assert exact_number(text) is None

    def test_an_estimate_beyond_all_bounds_is_none(self):
        assert estimated_number("9e99") is not None
        assert estimated_number("1e101") is estimated_number("-1e999") is None

    def test_a_percentage_is_estimated_with_and_without_its_sign(self):
        asked = "What percentage of them is red?"
        assert estimated_number("0.8%", asked) == estimated_number("0.8", asked)
        assert estimated_number("40 %", asked) == 40

    @given(st.decimals(-(10**9), 10**9, places=2))
    def test_any_amount_is_read_back(self, amount):
        assert exact_number(f"{amount:,}") == amount
        assert exact_number(f"It costs {amount:,}.") == amount


class TestQuantity:
    @pytest.mark.parametrize(
        ("text", "reference", "right"),
        [
            ("The train goes at 60 km per hour.", "60 km per hour", True),
            ("It is 60 miles per hour today.", "60 miles per hour", True),
            ("so 60 km/h", "60 miles per hour", False),
            ("The area is 12 square feet.", "12 square feet", True),
            ("The area is 12 feet.", "12 square feet", False),
            ("The area is 12 cm^2.", "12 cm^2", True),
            (r"The mass is \(5\,\mathrm{kg}\).", "5 kg", True),
            (r"$5 \text{ kg}$", "5 kg", True),
            ("It is 1 200 m.", "1200 m", True),
            ("She has 3 apples left.", "3 apples", True),
            ("She has 3 pears.", "3 apples", False),
        ],
    )
    def test_the_unit_is_read_where_the_number_stands(self, text, reference, right):
        question = Question(id="1", text="?", reference=reference)
        answer = expected_extractor([reference])(text)
        metric = find_metric("quantity", [question])
        assert metric.score(question, answer, text).value == right
        assert metric.score(question, None, text).value == right


class TestEstimate:
    METRIC = find_metric("estimate:20%")

    def scores(self, pairs):
        return [self.METRIC.score(question(truth), answer, "") for answer, truth in pairs]

    def test_measures_are_those_of_the_textbook(self):
        found = self.METRIC.errors(self.scores([("$110", "100"), ("50", "$100"), ("7", "7")]))
        assert found["mae"] == pytest.approx(20)
        logs = [math.log(111 / 101), math.log(51 / 101), 0]
        assert found["rmsle"] == pytest.approx(math.sqrt(sum(x * x for x in logs) / 3))

    def test_an_abstention_misses_the_tolerance_and_leaves_the_mean_errors_alone(self):
        told = self.scores([("110", "100"), ("90", "100")])
        silent = self.scores([("I can't say", "100"), (None, "100")])
        assert self.METRIC.errors(told + silent) == self.METRIC.errors(told)
        assert [score.value for score in silent] == [0, 0]
        assert all(score.abstained for score in silent)

    def test_only_abstentions_have_no_errors(self):
        assert self.METRIC.errors(self.scores([(None, "100")])) == {}

    def test_below_zero_an_estimate_counts_as_zero_and_a_truth_not_at_all_in_the_logarithm(self):
        below, no_log = self.scores([("-50", "100"), ("5", "-100")])
        assert below.log_error == pytest.approx(-math.log(101))
        assert below.error == 150
        assert (no_log.log_error, no_log.error) == (None, 105)


class TestChoice:
    CITIES = ("Paris", "London", "A large city", "Rome")

    @pytest.mark.parametrize(
        ("answer", "text", "letter"),
        [
            ("B", "", "B"),
            ("(b).", "", "B"),
            ("london", "", "B"),
            ("B) London", "", "B"),
            ("(B) London, of course", "", "B"),
            ("A large city", "", "C"),
            (None, "I weigh them. The answer is (D).", "D"),
            ("42", "So I choose option D.", "D"),
        ],
    )
    def test_the_letter_is_found_by_the_surest_sign(self, answer, text, letter):
        score = judged("choice", answer, letter, text, choices=self.CITIES)
        assert score.right
        other = "A" if letter != "A" else "B"
        assert not judged("choice", answer, other, text, choices=self.CITIES).right

    @pytest.mark.parametrize("answer", ["E", "Berlin", "Paris or London", "7"])
    def test_what_is_no_option_is_an_abstention(self, answer):
        assert judged("choice", answer, "A", choices=self.CITIES).abstained

    def test_ten_options_have_the_letters_to_j(self):
        choices = tuple(f"number {i}" for i in range(10))
        assert judged("choice", None, "J", "The answer is J.", choices=choices).right


class TestCheck:
    @pytest.mark.parametrize(
        ("metric", "needs"), [("numeric", "a number"), ("estimate", "a number"), ("choice", "opt")]
    )
    def test_questions_that_can_not_be_judged_are_refused_with_the_first_of_them(
        self, metric, needs
    ):
        questions = [
            question("5", choices=("a", "b")).model_copy(
                update={"reference": "A" * (metric == "choice") or "5"}
            ),
            question("Paris").model_copy(update={"id": "capital"}),
        ]
        with pytest.raises(MetricError, match=f"needs {needs}.* 1 of 2 .*'capital'.*'Paris'"):
            find_metric(metric).check(questions)
        find_metric(metric).check(questions[:1])

    def test_exact_judges_any(self):
        find_metric("exact").check([question("Paris"), question("5")])


class TestFind:
    @pytest.mark.parametrize(
        "name", ["exact", "numeric", "numeric:1%", "choice", "estimate:20%", "reasoning-gym"]
    )
    def test_a_name_is_read_back(self, name):
        assert find_metric(name).name == name

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("exat", "did you mean `exact`"),
            ("numeric:lots", "numeric: tolerance 'lots'"),
            ("numeric:-1", "neither a number of 0 or more"),
            ("numeric:", "a tolerance must follow"),
            ("exact:3", "takes nothing after a colon"),
            ("", "choice, contains, estimate, exact"),
        ],
    )
    def test_what_is_no_metric_is_one_clear_message(self, name, said):
        with pytest.raises(MetricError, match=said):
            find_metric(name)


PACKAGE = """
def shout(answer, reference, question):
    return answer == reference.upper()

def overlap(answer, reference, question):
    return len(set(answer) & set(reference)) / len(set(reference))

def broken(answer, reference, question):
    return {}["nothing"]

def too_much(answer, reference, question):
    return 7

NOT_CALLABLE = 3
"""
NAMES = ("shout", "overlap", "broken", "too_much", "NOT_CALLABLE", "missing")


class TestOwn:
    @pytest.fixture(autouse=True)
    def installed(self, tmp_path, monkeypatch):
        """A package as pip leaves it."""
        (tmp_path / "our_metrics.py").write_text(PACKAGE)
        about = tmp_path / "our_metrics-1.0.dist-info"
        about.mkdir()
        about.joinpath("METADATA").write_text(
            "Metadata-Version: 2.1\nName: our_metrics\nVersion: 1\n"
        )
        entries = "\n".join(f"{name} = our_metrics:{name}" for name in NAMES)
        about.joinpath("entry_points.txt").write_text(f"[thinkgraph.metrics]\n{entries}\n")
        monkeypatch.syspath_prepend(tmp_path)
        yield
        sys.modules.pop("our_metrics", None)

    def test_gives_right_and_wrong(self):
        assert judged("shout", "YES", "yes").right
        assert not judged("shout", "yes", "yes").right

    def test_gives_parts_of_a_score(self):
        assert judged("overlap", "ab", "abcd").value == 0.5

    def test_is_not_asked_where_there_is_no_answer(self):
        assert judged("broken", None, "yes").abstained

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("broken", "metric broken failed on question 'q': KeyError"),
            ("too_much", "gave 7.0 for question 'q': a score is"),
            ("NOT_CALLABLE", "must be callable"),
            ("missing", "can't be loaded: AttributeError"),
            ("shut", "did you mean `shout`"),
        ],
    )
    def test_a_fault_of_its_author_is_one_clear_message(self, name, said):
        with pytest.raises(MetricError, match=said):
            judged(name, "yes", "yes")


class TestText:
    @pytest.mark.parametrize(
        ("metric", "reference", "text", "right"),
        [
            ("contains", "30 days", "You have 30 days to return it.", True),
            ("contains", "30 days", "You have 130 days.", False),
            ("contains", "no", "There is nothing to say.", False),
            ("contains", "Paris.", "It is PARIS, of course", True),
            ("yes-no", "No", "No, shipping is not free.", True),
            ("yes-no", "No", "The answer is yes.", False),
            ("yes-no", "true", "Yes.", True),
            ("one-of:positive,negative", "positive", "The review is Positive overall.", True),
            ("one-of:positive,negative", "positive", "negative", False),
            ("quantity", "5 km", "It is 5000 m away.", True),
            ("quantity", "5 km", "It is 5 miles away.", False),
            ("quantity", "5 km", "It is 5.", False),
            ("quantity:1%", "5 km", "It is 5.04 km away.", True),
        ],
    )
    def test_is_judged_where_no_answer_was_extracted(self, metric, reference, text, right):
        assert judged(metric, None, reference, text).right is right

    @pytest.mark.parametrize("metric", ["yes-no", "one-of:red,green"])
    def test_a_text_without_a_label_is_an_abstention(self, metric):
        assert judged(metric, None, "red", "I can't say.").abstained

    def test_labels_are_those_of_the_right_answers(self):
        questions = [question("spam"), question("ham")]
        assert find_metric("one-of", questions).score(questions[0], None, "It is spam.").right
        with pytest.raises(MetricError, match="one-of:LABEL,LABEL"):
            find_metric("one-of", questions[:1])

    def test_any_of_several_right_answers_will_do(self):
        asked = question("1066").model_copy(update={"alternatives": ("in 1066 AD",)})
        row = Row.failed("q", "direct", "").model_copy(
            update={"failure": None, "answer": "in 1066 AD", "text": "in 1066 AD"}
        )
        assert find_metric("exact").score_row(asked, row).right


class TestFile:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(
            "def score(answer, reference):\n    return answer == reference\n"
            "def longer(answer, reference, *, text):\n    return len(text) > 3\n"
            "def one(answer):\n    return 1\n"
        )
        return path

    def test_its_function_is_the_metric(self, file):
        assert judged(file, "a", "a").right
        assert judged(f"{file}:score", "a", "b").value == 0

    def test_a_function_may_read_the_text(self, file):
        assert judged(f"{file}:longer", None, "a", "a long text").right

    @pytest.mark.parametrize(
        ("function", "said"),
        [("scor", "has no function 'scor'; it has score"), ("one", "must be callable as")],
    )
    def test_what_is_no_metric_is_told(self, file, function, said):
        with pytest.raises(MetricError, match=said):
            find_metric(f"{file}:{function}")

    def test_a_file_that_is_not_there_or_broken_is_told(self, tmp_path):
        with pytest.raises(MetricError, match="there is no file"):
            find_metric(str(tmp_path / "no.py"))
        (tmp_path / "bad.py").write_text("1 / 0")
        with pytest.raises(MetricError, match="ZeroDivisionError"):
            find_metric(str(tmp_path / "bad.py"))


def test_an_error_may_cost_more_on_one_side():
    metric = find_metric("asymmetric:0.5,2")
    question = Question(id="q", text="The price?", reference="1000")
    scores = [metric.score(question, each, each) for each in ("1100", "$900", "no idea")]
    assert [each.cost for each in scores] == [50.0, 200.0, None]
    assert metric.errors(scores)["cost"] == 125.0
    assert metric.errors(scores)["mae"] == 100.0


@pytest.mark.parametrize("costs", ["", ":1", ":1,x", ":-1,2", ":1,inf"])
def test_a_cost_that_is_none_is_told(costs):
    with pytest.raises(MetricError, match="such as asymmetric:"):
        find_metric(f"asymmetric{costs}")
