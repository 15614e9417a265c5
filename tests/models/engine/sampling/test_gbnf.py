"""GBNF: what is taken, what it means, what is refused, and that samples keep to it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.sampling.grammar import allows, check_constraint
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling

ASK = [Message(role="user", content="Tell me of a person.")]


def allowed(grammar, text):
    return allows(Sampling(grammar=grammar), text.encode())


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        ('root ::= "yes" | "no"', ["yes", "no"], ["", "ye", "yesno"]),
        (
            'root ::= [a-z]+ ("," [^0-9\\]]{1,3})* # list\n',
            ["abc", "abc,xx", "a,\n,é"],
            ["A", "a,1", "a,]", "a,xxxx"],
        ),
        (
            'root ::= word (" " word){0,2}\nword ::= ("a" | "b")+',
            ["ab", "ab ba a"],
            ["ab  b", "a a a a"],
        ),
        ('root ::= "é😀\\n\\x41\\u00e9" .', ["é😀\nAé\n", "é😀\nAéx"], ["é😀\nAé"]),
        ('root ::= a |\n  b\na ::= "a"\n\nb ::= "b" a?', ["a", "ba"], ["bb", "aa"]),
        ('root ::= | "x" ( | "y")', ["", "x", "xy"], ["y"]),
        ("root ::= [a-]+ [\\]x-] [/]", ["a-]/", "-a-/"], ["b]/"]),
        ('root ::= root "a" | "a"', ["a", "aaa"], ["", "b"]),
        ('root ::= a\na ::= e a "y" | "x"\ne ::= f\nf ::= ""', ["x", "xyy"], ["yx"]),
        ('root ::= ("a"?)*', ["", "aa"], ["b"]),
        ('root ::= "(" root? ")"', ["()", "((()))"], ["(()"]),
        # What a rule could go on with, another one may take: no longest match wins.
        ('root ::= w " end" | "(" root ")"\nw ::= [a-z ]+', ["foo end", "(a end)"], ["foo"]),
        ('root ::= "ab" "d" | [a] "bc" | "(" root ")"', ["abd", "abc", "(abc)"], ["abcd"]),
    ],
)
def test_grammars_mean_what_they_mean_to_llama_cpp(grammar, good, bad):
    assert [text for text in good if not allowed(grammar, text)] == []
    assert [text for text in bad if allowed(grammar, text)] == []


JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""


def test_a_grammar_of_json_allows_json():
    assert allowed(JSON, '{"a": [1, -2.5e3, {"b\\n\\u00e9": null}], "c": "d, e"}')
    assert not allowed(JSON, '{"a": }')


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ("", "no rule named root"),
        ('start ::= "a"', "no rule named root"),
        ('root ::= "a', "line 1, column 10: expected a text in quotes"),
        ('root ::= "a"\n  | b', "expected a rule's name"),
        ('root ::= x\nx ::= "a" y', "line 2, column 11: there is no rule y"),
        ('root ::= "\\q"', "valid escapes"),
        ("root ::= [a-z", "class of characters"),
        ("root ::= []", "class of characters"),
        ('root ::= ("a"', "not closed"),
        ('root ::= "a")', "is not understood"),
        ('root ::= *"a"', "nothing before it to repeat"),
        ('root ::= "a"{2,1}', "repetition"),
        ('root ::= "a"{1,999999999}', "repetition"),
        ('root ::= "a"\nroot ::= "b"', "there twice"),
        ("root ::= root", "no text at all"),
        ("root ::= [z-a]", "from low to high"),
        ('root ::= "\\ud800"', "no character"),
        ("root ::= <think>", "is not understood"),
        ('root ::= "\x00"', "text in quotes"),
        ('root ::= "\ud800"', "UTF-8"),
        ("root ::= " + "(" * 400 + '"a"' + ")" * 400, "nested"),
        ("root ::= " + '"a" ' * 100_000, "characters"),
        ("root ::= x0\n" + "\n".join(f"x{i} ::= x{i + 1}" for i in range(6000)), "500 rules"),
    ],
)
def test_bad_grammars_are_refused_with_the_reason(grammar, reason):
    with pytest.raises(ModelError, match=reason):
        check_constraint(Sampling(grammar=grammar))


ITEMS = st.sampled_from(['"a"', "[ab]", ".", "x", "y", '"\\n"', '""', "root"])
BODIES = st.recursive(
    ITEMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" ".join),
        st.tuples(inner, inner).map(" | ".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,3}", "{1,}", "{40}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=12,
)
NOISE = st.text(st.sampled_from('ro t:="a[]^-|()*+?{}1,\\\n#x.'), max_size=40)


@pytest.mark.slow
@given(st.one_of(BODIES, NOISE), BODIES, BODIES)
@settings(max_examples=400, deadline=None)
def test_any_text_is_taken_or_refused(root, x, y):
    sampling = Sampling(grammar=f"root ::= {root}\nx ::= {x}\ny ::= {y}")
    try:
        check_constraint(sampling)
    except ModelError as error:
        assert str(error).startswith("the grammar")
    else:
        allows(sampling, b"ab\nab")


async def test_samples_match_the_grammar(smollm2):
    sampling = Sampling(grammar='root ::= [0-9]{2} "-" [a-c]+ "."', max_tokens=40)
    for sample in await smollm2.generate(ModelRequest(ASK, sampling, range(4))).completions():
        assert re.fullmatch(r"\d\d-[abc]+\.", sample.text) or sample.finish_reason == "length"


async def test_samples_match_a_grammar_with_recursion(smollm2):
    sampling = Sampling(grammar='root ::= "(" root? ")" | [a-c]', max_tokens=40, temperature=2)
    for sample in await smollm2.generate(ModelRequest(ASK, sampling, range(4))).completions():
        assert re.fullmatch(r"\(*[a-c]?\)*", sample.text)
        assert sample.finish_reason == "length" or sample.text.count("(") == sample.text.count(")")
