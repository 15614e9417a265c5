"""Grammars and JSON schemas: what is taken, what is refused, and that samples keep to them."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.sampling.grammar import checked_grammar, schema_grammar
from thinkgraph.models.engine.sampling.sampler import can_follow
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling

ASK = [Message(role="user", content="Tell me of a person.")]


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "yes" | "no"',
        'root ::= [a-z]+ ("," [^0-9\\]]{1,3})* # list\n',
        'root ::= word (" " word){0,4}\nword ::= ("a" | "b")+',
        'root ::= "é😀\\n\\x41\\u00e9" .',
        'root ::= a |\n  b\na ::= "a"\n\nb ::= "b" a?',
    ],
)
def test_good_grammars_are_taken(grammar):
    assert checked_grammar(grammar) == grammar


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
        ('root ::= "a"{1,999999999}', "2000 rules"),
        ('root ::= "a"\nroot ::= "b"', "there twice"),
        ('root ::= root "a" | "a"', "begin with itself"),
        ('root ::= a\na ::= e a "y" | "x"\ne ::= f\nf ::= ""', "begin with itself"),
        ('root ::= ("a"?)*', "may be empty"),
        ("root ::= <think>", "is not understood"),
        ('root ::= "\x00"', "text in quotes"),
        ('root ::= "\ud800"', "UTF-8"),
        ("root ::= " + "(" * 400 + '"a"' + ")" * 400, "nested"),
        ("root ::= " + '"a" ' * 100_000, "characters"),
        ('root ::= (((("a"{999}){999}){999}){999}){999}', "more than 2000 rules"),
    ],
)
def test_bad_grammars_are_refused_with_the_reason(smollm2, grammar, reason):
    with pytest.raises(ModelError, match=reason):
        smollm2.generate(ModelRequest(ASK, Sampling(grammar=grammar), [1]))


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


@given(st.one_of(BODIES, NOISE), BODIES, BODIES)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_passes_the_check_is_taken_by_native_code(smollm2, root, x, y):
    grammar = f"root ::= {root}\nx ::= {x}\ny ::= {y}"
    try:
        checked_grammar(grammar)
    except ModelError:
        return
    assert can_follow(smollm2.engine.vocabulary, grammar)


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


async def test_samples_are_json_of_the_schema(smollm2):
    sampling = Sampling(json_schema=PERSON, max_tokens=100, temperature=1.5, top_k=0, min_p=0)
    for sample in await smollm2.generate(ModelRequest(ASK, sampling, range(4))).completions():
        assert sample.finish_reason == "stop"
        person = json.loads(sample.text)
        assert person.keys() == {"name", "age", "tags"}
        assert isinstance(person["age"], int)
        assert len(person["name"]) <= 12


async def test_samples_match_the_grammar(smollm2):
    sampling = Sampling(grammar='root ::= [0-9]{2} "-" [a-c]+ "."', max_tokens=40)
    for sample in await smollm2.generate(ModelRequest(ASK, sampling, range(4))).completions():
        assert re.fullmatch(r"\d\d-[abc]+\.", sample.text) or sample.finish_reason == "length"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strnig"}, "Unrecognized"),
        ({"$ref": "https://example.org/schema.json"}, "not allowed"),
        ({"$ref": "#/$defs/none"}, "none"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "no grammar"),
        ({"type": "string", "maxLength": 10**9}, "maxLength"),
        ({"type": "string", "pattern": "^a{99999999}$"}, "repeats"),
        ({"type": "string", "pattern": "^(a*)*$"}, "may be empty"),
        ({"type": "string", "pattern": "^(?=a)b$"}, "no grammar"),
        ({"enum": ["x"] * 6000}, "more than"),
        ({"type": {1, 2}}, "not JSON"),
    ],
)
def test_schemas_without_a_grammar_are_refused(schema, reason):
    with pytest.raises(ModelError, match=reason):
        schema_grammar(schema)


def test_a_deep_schema_is_refused():
    schema: dict = {"type": "string"}
    for _ in range(3000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(ModelError):
        schema_grammar(schema)


def test_texts_in_json_have_no_raw_control_characters():
    rule = next(r for r in schema_grammar({"type": "string"}).splitlines() if r.startswith("char"))
    assert "\\x00-\\x1F" in rule


def test_a_grammar_that_no_token_can_follow_fails_only_its_request(opened):
    model = opened("llama")
    with pytest.raises(ModelError, match="not both"):
        model.generate(ModelRequest(ASK, Sampling(grammar='root ::= "a"', json_schema={}), [1]))
    with pytest.raises(ModelError, match="ignore_eos"):
        model.generate(ModelRequest(ASK, Sampling(grammar='root ::= "a"', ignore_eos=True), [1]))
