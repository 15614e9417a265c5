"""The JSON schema of a spec's output: which nodes are held to it, and what the result is."""

import pytest
from pydantic import BaseModel

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = '{"name": "Ada", "age": 36}'


def answering(**nodes):
    graph = tg.Graph("person", output={"json_schema": PERSON})
    names = graph.add(**nodes)
    return graph.edge(tg.START, *names, tg.END)


def schemas(model):
    return [call.sampling.json_schema for call in model.calls]


def test_the_output_is_the_parsed_answer_of_nodes_held_to_the_schema():
    model = ScriptedModel([ADA, '{"name":"Ada","age":36}', '{"name": "Bob", "age": 1}'])
    result = answering(draft=tg.Generate(samples=3), vote=tg.Vote()).run("Who?", model=model)
    assert schemas(model) == [PERSON]
    assert result.output == {"name": "Ada", "age": 36}
    assert result.answer.votes == 2
    assert result.summary()["output"] == result.output
    assert result.output_text == ADA


def test_only_candidates_that_may_be_the_answer_are_held():
    model = ScriptedModel(["a free thought", ADA])
    result = answering(draft=tg.Generate(), join=tg.Synthesize()).run("Who?", model=model)
    assert schemas(model) == [None, PERSON]
    assert result.output["age"] == 36


def test_a_node_that_stands_in_for_a_failed_one_is_held_too():
    graph = tg.Graph("person", output={"json_schema": PERSON})
    graph.add(
        draft=tg.NodeSpec(kind="generate", fallback="other"),
        other=tg.Generate(prompt="step-by-step"),
    )
    graph.edge(tg.START, "draft", tg.END)
    model = ScriptedModel([tg.ModelError("down"), ADA])
    assert graph.run("Who?", model=model).output["name"] == "Ada"
    assert schemas(model) == [PERSON, PERSON]


def test_a_field_that_ask_writes_is_held_and_parsed():
    graph = tg.Graph(
        "plan",
        state={"steps": tg.StateField()},
        output=tg.Output(field="steps", json_schema={"type": "array", "items": {}}),
    )
    graph.add(draft=tg.Generate(), plan=tg.Ask(prompt="question", into="steps"))
    graph.edge(tg.START, "draft", "plan", tg.END)
    model = ScriptedModel(["7", '["one", 2]'])
    assert graph.run("?", model=model).output == ["one", 2]
    assert schemas(model)[0] is None
    assert schemas(model)[1]["type"] == "array"


@pytest.mark.parametrize(
    ("schema", "text", "output"),
    [
        ({"type": "integer"}, "so the answer is 36", 36),
        ({"type": "string"}, "so the answer is 36", "36"),
        (PERSON, ADA, {"name": "Ada", "age": 36}),
    ],
)
def test_an_answer_that_no_node_was_held_to_is_validated(schema, text, output):
    graph = tg.Graph("used", output=tg.Output(json_schema=schema))
    graph.add(all=tg.Expand(write="rest", samples=1))
    graph.edge(tg.START, "all", tg.END)
    assert graph.run("?", model=ScriptedModel([text])).output == output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "Ada"}', "'age' is a required property"),
        ('{"name": "Ada", "age": "old"}', "answer['age']: 'old' is not"),
        ('{"name": "Ada", "ag', "answer: it isn't JSON"),
    ],
)
def test_a_mismatch_is_one_error_that_has_the_run(text, said):
    graph = answering(draft=tg.Generate())
    with pytest.raises(tg.OutputMismatch) as caught:
        graph.run("Who?", model=ScriptedModel([text]))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.result.answer.text == text
    with pytest.raises(tg.OutputMismatch, match="json_schema"):
        graph.compile(model=ScriptedModel([text])).invoke({"question": "Who?"})


def test_a_pattern_of_the_schema_can_not_stop_a_run():
    slow = {"type": "string", "pattern": "^(a+)+$"}
    graph = tg.Graph("slow", output=tg.Output(json_schema=slow))
    graph.add(all=tg.Expand(write="rest", samples=1))
    graph.edge(tg.START, "all", tg.END)
    with pytest.raises(tg.OutputMismatch, match="does not match"):
        graph.run("?", model=ScriptedModel([f"{'a' * 5000}7"]))


def test_a_pydantic_model_is_a_schema_and_yaml_keeps_it(tmp_path):
    class Person(BaseModel):
        name: str
        age: int

    graph = tg.Graph("person", output=tg.Output(json_schema=Person))
    graph.add(draft=tg.Generate())
    graph.edge(tg.START, "draft", tg.END)
    graph.save(tmp_path / "person.yaml")
    again = tg.load(tmp_path / "person.yaml")
    assert again.spec == graph.spec
    assert again.spec.output.json_schema == Person.model_json_schema()


@pytest.mark.parametrize("written", ["answer", {"field": "answer"}, tg.Output()])
def test_an_output_without_a_schema_is_saved_as_its_name(written):
    graph = tg.Graph("short", output=written)
    graph.add(draft=tg.Generate())
    graph.edge(tg.START, "draft", tg.END)
    assert graph.spec.plain["output"] == "answer"


def test_a_real_model_is_held(smollm2):
    graph = answering(draft=tg.Generate(max_tokens=200, temperature=0))
    output = graph.run("Ada is 36 years old. Who is she?", model=smollm2).output
    assert isinstance(output["age"], int)
    assert isinstance(output["name"], str)
