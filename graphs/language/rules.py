"""The rules of the checker: each error code, what it means, a bad example and its fix.

A code never changes its meaning and is never reused. The first digit is the category: 0 the file,
1 the form, 2 names, 3 conditions, 4 paths through the graph, 5 used graphs,
6 what the host binds.
"""

from __future__ import annotations

from typing import NamedTuple

from thinkgraph.graphs.language.problem import Location, Problem, Severity

HEAD = "thinkgraph: 1\nname: example\n"
NODES = "nodes:\n  draft: {kind: generate}\n"
EDGES = "edges:\n  - START -> draft -> END\n"


class Rule(NamedTuple):
    """One kind of problem that the checker reports.

    Attributes:
        title: what it is, in a few words.
        why: why it is wrong.
        bad: the smallest spec with the problem, without irrelevant sections; empty if no text can
            show it.
        good: the same spec, corrected.
        whole: whether the examples are complete files.
    """

    title: str
    why: str
    bad: str = ""
    good: str = ""
    severity: Severity = "error"
    whole: bool = False

    def file(self, example: str) -> str:
        """An example as a complete file, with the head, nodes and edges that it leaves out."""
        if self.whole or not example:
            return example
        parts = [
            "" if "thinkgraph:" in example else HEAD,
            example,
            "" if "nodes:" in example else NODES,
            "" if "edges:" in example else EDGES,
        ]
        return "".join(parts)


def problem(code: str, message: str, location: Location, hint: str = "") -> Problem:
    """A problem with the severity of its rule."""
    return Problem(
        code=code,
        severity=RULES[code].severity,
        message=message,
        hint=hint,
        **location._asdict(),
    )


_DRAFT_VOTE = "nodes:\n  draft: {kind: generate}\n  vote: {kind: vote}\n"
_DRAFT_ASK = (
    "nodes:\n  draft: {kind: generate}\n  note: {kind: ask, prompt: question, into: plan}\n"
)
_DRAFT_TWO = (
    "nodes:\n  draft: {kind: generate}\n  a: {kind: revise}\n  b: {kind: generate}\n"
    "  vote: {kind: vote}\n"
)
_FACT = 'state:\n  fact: {type: string, default: ""}\n'
_USING = (
    '  draft: {kind: generate, prompt: {user: "{{ question }} {{ fact }}"}}\n  vote: {kind: vote}\n'
    "edges:\n  - START -> ask -> draft -> vote -> END\n"
)
_REFINE = (
    "nodes:\n  draft: {kind: generate}\n  critic: {kind: critique}\n  revise: {kind: revise}\n"
)

RULES: dict[str, Rule] = {
    "TG001": Rule(
        "the file can't be read",
        "The file doesn't exist, is a folder, or can't be read with your permissions.",
    ),
    "TG002": Rule(
        "the file is too long",
        "A spec has at most 128 KiB. The longest built-in graph has about 2 KiB.",
    ),
    "TG003": Rule("the file is not UTF-8", "A spec is UTF-8 text, with or without a BOM."),
    "TG004": Rule(
        "this is not YAML",
        "The text doesn't parse as YAML 1.2 (or JSON). Nothing after this position was checked.",
        "about: solves: everything\n",
        'about: "solves: everything"\n',
    ),
    "TG005": Rule(
        "the file is not a graph",
        "A graph is a mapping of fields to values. This file is empty or holds another type.",
        "- START -> draft\n",
        f"{HEAD}{NODES}{EDGES}",
        whole=True,
    ),
    "TG006": Rule(
        "a second document",
        "A file holds one graph. In YAML, `---` starts another document.",
        f"{HEAD}{NODES}{EDGES}---\nname: another\n",
        f"{HEAD}{NODES}{EDGES}",
        whole=True,
    ),
    "TG007": Rule(
        "the same field twice",
        "Of two fields with the same name, YAML would silently keep one.",
        "nodes:\n  draft: {kind: generate}\n  draft: {kind: vote}\n",
        "nodes:\n  draft: {kind: generate}\n",
    ),
    "TG008": Rule(
        "an anchor or alias",
        "A few aliases can expand to gigabytes, so they are refused. Use a param instead: several "
        "nodes may refer to it.",
        "nodes:\n  draft: {kind: generate, max_tokens: &n 4, top_k: *n}\n",
        "params:\n  n: 4\nnodes:\n  draft: {kind: generate, max_tokens: $n, top_k: $n}\n",
    ),
    "TG009": Rule(
        "nested too deep",
        "Collections nest at most 32 deep.",
        f"about: {'[' * 40}{']' * 40}\n",
        "about: some text\n",
    ),
    "TG010": Rule(
        "a key that is not a valid name",
        "A field's name is plain text: no list, no mapping, no tag.",
        "? [draft, vote]\n: {kind: generate}\n",
        NODES,
    ),
    "TG011": Rule(
        "a tag",
        "YAML reads a word that begins with `!` as a tag, so the condition would be lost. Quote "
        "it.",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise:\n      when: !accepted\n      at_most: 2\n"
        "  - critic -> END\n  - revise -> critic\n",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        '  - critic -> revise:\n      when: "!accepted"\n      at_most: 2\n'
        "  - critic -> END\n  - revise -> critic\n",
    ),
    "TG012": Rule(
        "a number that doesn't fit",
        "Integers must fit in 64 bits, and floats must be finite.",
        "nodes:\n  draft: {kind: generate, temperature: .inf}\n",
        "nodes:\n  draft: {kind: generate, temperature: 1.5}\n",
    ),
    "TG101": Rule(
        "an unknown field",
        "This field or setting doesn't exist here and would have no effect.",
        "nodes:\n  draft: {kind: generate, temprature: 0.7}\n",
        "nodes:\n  draft: {kind: generate, temperature: 0.7}\n",
    ),
    "TG102": Rule(
        "a missing field",
        "A spec needs this field.",
        "thinkgraph: 1\n",
        "thinkgraph: 1\nname: example\n",
    ),
    "TG103": Rule(
        "the wrong type",
        "The value doesn't have the type of the field. A quoted string is never read as a number.",
        'nodes:\n  draft: {kind: generate, max_tokens: "64"}\n',
        "nodes:\n  draft: {kind: generate, max_tokens: 64}\n",
    ),
    "TG104": Rule(
        "out of range",
        "The value, or its length, is below the minimum or above the maximum.",
        "nodes:\n  draft: {kind: generate, top_p: 1.5}\n",
        "nodes:\n  draft: {kind: generate, top_p: 0.95}\n",
    ),
    "TG105": Rule(
        "not one of the choices",
        "The field accepts a fixed set of values, and this isn't one of them.",
        _REFINE.replace("{kind: revise}", "{kind: revise, keep: best}")
        + "edges:\n  - START -> draft -> critic -> revise -> END\n",
        _REFINE.replace("{kind: revise}", "{kind: revise, keep: better}")
        + "edges:\n  - START -> draft -> critic -> revise -> END\n",
    ),
    "TG106": Rule(
        "not a name",
        "Names of graphs and nodes have letters, digits, `-` and `_`; those of params, inputs "
        "and state have lowercase letters, digits and `_`, so that conditions and templates can "
        "name them. A letter comes first.",
        "thinkgraph: 1\nname: my strategy\n",
        "thinkgraph: 1\nname: my-strategy\n",
    ),
    "TG107": Rule(
        "a contradictory param",
        "A param's default, its choices and the values to fit must have its type and lie in its "
        "range, which must not be empty, and it needs a default or a type.",
        "params:\n  n: {default: 0, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: {default: 1, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
    ),
    "TG108": Rule(
        "neither kind nor use",
        "A node needs a `kind`, or `use` (another graph) with its `params`.",
        "nodes:\n  draft: {prompt: question}\n",
        "nodes:\n  draft: {kind: generate, prompt: question}\n",
    ),
    "TG109": Rule(
        "not a chain",
        "An edge is a chain of nodes such as `START -> draft -> [a, b] -> END`. An edge with a "
        "condition has one arrow, from one node to one node.",
        "edges:\n  - START, draft, END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG110": Rule(
        "not a template",
        "A prompt's text is a Jinja template, and this one doesn't parse.",
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question"}}\n',
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }}"}}\n',
    ),
    "TG111": Rule(
        "an invalid value",
        "The value has the right type, but the setting can't use it. The message says why.",
        "nodes:\n  draft: {kind: generate, extract: {regex: '(\\d+'}}\n",
        "nodes:\n  draft: {kind: generate, extract: {regex: '(\\d+)'}}\n",
    ),
    "TG112": Rule(
        "a text that can't be constrained",
        "A grammar is not valid GBNF, or a JSON schema has a keyword that can't be enforced while "
        "a text is decoded. The message names it and its place. What is enforced is listed in "
        "constrained.md.",
        "nodes:\n  draft: {kind: generate, json_schema: {type: array, uniqueItems: true}}\n",
        "nodes:\n  draft: {kind: generate, json_schema: {type: array, maxItems: 3}}\n",
    ),
    "TG113": Rule(
        "two bounds on one edge",
        "`repeat` counts the runs of the edge's target, `at_most` the passes of the edge. Write "
        "the one that you mean.",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise: {when: not accepted, repeat: 2, at_most: 2}\n"
        "  - critic -> END\n  - revise -> critic\n",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise: {when: not accepted, repeat: 2}\n"
        "  - critic -> END\n  - revise -> critic\n",
    ),
    "TG114": Rule(
        "a default of another type",
        "The default of an input or a state field must have the type that the field declares.",
        "inputs:\n  parts: {type: list, default: abc}\n"
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }} {{ parts }}"}}\n',
        "inputs:\n  parts: {type: list, default: [abc]}\n"
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }} {{ parts }}"}}\n',
    ),
    "TG201": Rule(
        "an unknown kind",
        "No node kind has this name, neither a built-in one nor one of an installed package.",
        "nodes:\n  draft: {kind: generat}\n",
        "nodes:\n  draft: {kind: generate}\n",
    ),
    "TG202": Rule(
        "an unknown param",
        "`$name` stands for the value of a param, and the spec declares no param of this name.",
        "nodes:\n  draft: {kind: generate, max_tokens: $tokens}\n",
        "params:\n  tokens: 64\nnodes:\n  draft: {kind: generate, max_tokens: $tokens}\n",
    ),
    "TG203": Rule(
        "an unknown prompt",
        "A prompt is the name of a built-in prompt, or a mapping with the field `user`.",
        "nodes:\n  draft: {kind: generate, prompt: stepbystep}\n",
        "nodes:\n  draft: {kind: generate, prompt: step-by-step}\n",
    ),
    "TG204": Rule(
        "an unknown extractor",
        "No extractor has this name.",
        "nodes:\n  draft: {kind: generate, extract: nubmer}\n",
        "nodes:\n  draft: {kind: generate, extract: number}\n",
    ),
    "TG205": Rule(
        "an unknown node",
        "An edge names an undefined node.",
        "edges:\n  - START -> drat -> END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG206": Rule(
        "an unknown channel",
        "The output is a channel of the state: `answer`, `candidates`, `critiques`, or a field "
        "that the spec declares under `state`.",
        "output: anwser\n",
        "output: answer\n",
    ),
    "TG207": Rule(
        "a reserved node name",
        "A node can't have the name of a channel or a state field, nor START, END or `conclude`, "
        "which the compiled graph adds.",
        "nodes:\n  answer: {kind: generate}\nedges:\n  - START -> answer -> END\n",
        "nodes:\n  reply: {kind: generate}\nedges:\n  - START -> reply -> END\n",
    ),
    "TG208": Rule(
        "a reserved field name",
        "Params and inputs are keyword arguments of a run and variables of conditions and "
        "templates. So their names must differ from the arguments of a run, the channels, the "
        "variables of conditions, each other, and the keywords of CEL and Python.",
        "params:\n  seed: 4\nnodes:\n  draft: {kind: generate, top_k: $seed}\n",
        "params:\n  words: 4\nnodes:\n  draft: {kind: generate, top_k: $words}\n",
    ),
    "TG209": Rule(
        "an unknown template variable",
        "A template may use the question, the round, the params, inputs and state of the spec, and "
        "the variables of the node's kind. This variable is not one of these.",
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ qestion }}"}}\n',
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }}"}}\n',
    ),
    "TG210": Rule(
        "a param that doesn't fit its use",
        "The param's default, one of its choices or a value to fit isn't valid in this setting.",
        "params:\n  n: 0\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: 1\nnodes:\n  draft: {kind: generate, samples: $n}\n",
    ),
    "TG211": Rule(
        "a param's range is too wide for its use",
        "The param's range includes values that this setting refuses. Setting one is an error when "
        "the graph runs.",
        "params:\n  n: {default: 1, minimum: 0}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: {default: 1, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "warning",
    ),
    "TG212": Rule(
        "an unused param",
        "No setting, edge, condition or prompt uses the param, so setting it has no effect.",
        "params:\n  tokens: 64\n",
        "params:\n  tokens: 64\nnodes:\n  draft: {kind: generate, max_tokens: $tokens}\n",
        "warning",
    ),
    "TG213": Rule(
        "an unused input or state field",
        "No condition or prompt uses it, and no node reads or writes it.",
        "inputs:\n  hint: {type: string}\n",
        "inputs:\n  hint: {type: string}\n"
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }} {{ hint }}"}}\n',
        "warning",
    ),
    "TG214": Rule(
        "a template that reads a text as an object",
        "What a node's kind supplies to its prompts is a text (`candidate`, `answer`, `critique`, "
        "`item`) or a list of texts (`peers`); it has none of the parts that the template names.",
        "nodes:\n  draft: {kind: generate}\n"
        '  critic: {kind: critique, prompt: {user: "{{ candidate.text }}"}}\n'
        "edges:\n  - START -> draft -> critic -> END\n",
        "nodes:\n  draft: {kind: generate}\n"
        '  critic: {kind: critique, prompt: {user: "{{ candidate }}"}}\n'
        "edges:\n  - START -> draft -> critic -> END\n",
    ),
    "TG215": Rule(
        "a field of another type than its node writes",
        "The state declares a type for the field, and the node writes or reads another one there.",
        "state:\n  outline: {type: integer}\n"
        "nodes:\n  plan: {kind: ask, prompt: question, into: outline}\n"
        "  draft: {kind: generate}\nedges:\n  - START -> plan -> draft -> END\n",
        "state:\n  outline: {type: string}\n"
        "nodes:\n  plan: {kind: ask, prompt: question, into: outline}\n"
        "  draft: {kind: generate}\nedges:\n  - START -> plan -> draft -> END\n",
    ),
    "TG216": Rule(
        "a fallback that can't stand in",
        "The run continues along the edges of the node that failed, so its `fallback` is another "
        "node, and writes what it would have written.",
        "nodes:\n  draft: {kind: generate, fallback: vote}\n  vote: {kind: vote}\n",
        "nodes:\n  draft: {kind: generate, fallback: small}\n"
        "  small: {kind: generate, model: small}\n",
    ),
    "TG217": Rule(
        "an output that can't have a schema",
        "The answer, or a field of the state, can be text that is JSON of a schema. The other "
        "channels have a form of their own.",
        "output: {field: candidates, json_schema: {type: object}}\n",
        "output: {field: answer, json_schema: {type: object}}\n",
    ),
    "TG218": Rule(
        "a reducer that can't combine the field's values",
        "`append` needs a list, `merge` an object, `add` a number, a string or a list, and `max` "
        "a boolean, a number or a string. `replace` takes all types.",
        "state:\n  plan: {type: string, reducer: merge}\n"
        + _DRAFT_ASK
        + "edges:\n  - START -> note -> draft -> END\n",
        "state:\n  plan: {type: string, reducer: add}\n"
        + _DRAFT_ASK
        + "edges:\n  - START -> note -> draft -> END\n",
    ),
    "TG301": Rule(
        "a condition that doesn't parse",
        "Conditions are written in CEL: `not x`, `x and y`, `x or y` (or `!x`, `x && y`, "
        "`x || y`), `==`, and params without `$`.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live = 2}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live == 2}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG302": Rule(
        "a condition names an undefined variable",
        "A condition may name the round, the params, inputs and state of the spec, and what "
        "every state offers, such as `accepted`, `agreement` and `live`.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: agrement > 0.5}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: agreement > 0.5}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG303": Rule(
        "types in a condition don't fit",
        "CEL doesn't mix types: an int is compared with an int (`live > 1`) and "
        "a double with a double (`agreement > 0.5`, `agreement >= 1.0`).",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: agreement >= 1}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: agreement >= 1.0}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG304": Rule(
        "a condition that is not a boolean",
        "A condition is a truth value; compare numbers and text with something.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 0}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG305": Rule(
        "a condition on a field that may have no value",
        "On some path no node has written the field of the state when the condition is tested, and "
        "the field has no default, so the run would fail there.",
        "state:\n  plan: {type: string}\n" + _DRAFT_ASK + "edges:\n  - START -> draft\n"
        '  - draft -> note: {when: plan == ""}\n  - draft -> END\n  - note -> END\n',
        'state:\n  plan: {type: string, default: ""}\n' + _DRAFT_ASK + "edges:\n"
        "  - START -> draft\n"
        '  - draft -> note: {when: plan == ""}\n  - draft -> END\n  - note -> END\n',
    ),
    "TG306": Rule(
        "a condition on what nothing has set",
        "The condition can be tested, but not as it was meant: `accepted` is false before any "
        "critique, `answer` empty before any vote, `score` minus infinity before any score. An "
        "input without a default has no value in a run that gives none, and the run fails there.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: score > 0.5}\n  - draft -> END\n  - vote -> END\n",
        "nodes:\n  draft: {kind: generate}\n  rate: {kind: score}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> draft -> rate\n"
        "  - rate -> vote: {when: score > 0.5}\n  - rate -> END\n  - vote -> END\n",
        "warning",
    ),
    "TG401": Rule(
        "a node that can't be reached",
        "No path leads from START to this node, so it never runs.",
        _DRAFT_VOTE,
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG402": Rule(
        "a node that can't reach END",
        "No path leads from this node to END, so a run that reaches it has no result.",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> [vote, END]\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG403": Rule(
        "a loop without a bound",
        "A run must end whatever a model writes, so one edge of every loop needs a bound: "
        "`repeat: 2` follows it until its target has run twice, `at_most: 2` follows it twice.",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise: {when: not accepted}\n  - critic -> END\n  - revise -> critic\n",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise: {when: not accepted, repeat: 2}\n"
        "  - critic -> END\n  - revise -> critic\n",
    ),
    "TG404": Rule(
        "two parallel nodes write one channel",
        "If two parallel nodes write a channel that holds one value, the last write wins, and "
        "which one is last is undefined.",
        "nodes:\n  draft: {kind: generate}\n  loose: {kind: vote, tolerance: 0.1}\n"
        "  exact: {kind: vote}\nedges:\n  - START -> draft -> [loose, exact] -> END\n",
        "nodes:\n  draft: {kind: generate}\n  exact: {kind: vote}\n"
        "edges:\n  - START -> draft -> exact -> END\n",
    ),
    "TG405": Rule(
        "read before it is written",
        "On some path, a channel that the node needs has not been written when the node runs.",
        _DRAFT_VOTE + "edges:\n  - START -> vote -> draft -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG406": Rule(
        "a vote over free text",
        "Majority voting needs short, comparable answers: no two free texts are equal, so each "
        "would get one vote. Extract an answer, use `choose`, or score the texts and select the "
        "best. Completions of at most 32 tokens, or constrained by a grammar or JSON schema, "
        "count as short.",
        "nodes:\n  draft: {kind: generate, samples: 4, extract: text}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
        "nodes:\n  draft: {kind: generate, samples: 4, extract: number}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG407": Rule(
        "a dead end",
        "Every edge from this node has a condition or a bound. If none of them can be followed, "
        "the run would stop without a result.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG408": Rule(
        "an edge that is never followed",
        "Edges are tried in order, and an edge without a condition is always followed; later "
        "conditions are never evaluated.",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> END\n"
        "  - draft -> vote: {when: live > 1}\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG409": Rule(
        "a duplicate edge",
        "The second edge has no effect.",
        "edges:\n  - START -> draft -> END\n  - draft -> END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG410": Rule(
        "a condition at START",
        "A run starts without any state to test, so the edges from START are always followed.",
        _DRAFT_VOTE + "edges:\n  - START -> draft: {when: live > 1}\n  - draft -> vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG411": Rule(
        "a join with a conditional branch",
        "`[a, b] -> c` waits for both nodes. A node with conditional edges may go elsewhere, and "
        "the join would wait forever.",
        "nodes:\n  a: {kind: generate}\n  b: {kind: generate}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> [a, b]\n  - a -> END: {when: live > 8}\n"
        "  - '[a, b] -> vote -> END'\n",
        "nodes:\n  a: {kind: generate}\n  b: {kind: generate}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> [a, b] -> vote -> END\n",
    ),
    "TG412": Rule(
        "START or END in the wrong place",
        "A run begins once, at START, and ends at END; neither waits for other nodes.",
        "edges:\n  - START -> draft -> END -> draft\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG413": Rule(
        "no edge from START",
        "No edge leaves START, so nothing would run.",
        "edges:\n  - draft -> END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG414": Rule(
        "an early stop that may change the vote",
        "`until: decided` cancels samples once they can't change an unweighted majority vote with "
        "exact comparison. They could still change a vote with weights, a tolerance or the "
        "median. If params decide this at run time, the answer's note says whether the cancelled "
        "samples could have changed it.",
        "nodes:\n  draft: {kind: generate, samples: 8, until: decided}\n"
        "  vote: {kind: vote, by: logprob}\nedges:\n  - START -> draft -> vote -> END\n",
        "nodes:\n  draft: {kind: generate, samples: 8}\n  vote: {kind: vote, by: logprob}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
        "warning",
    ),
    "TG415": Rule(
        "a vote that the spec doesn't say",
        "A run that ends with several candidates counts their answers, as a node of kind `vote` "
        "would. Write that node, so that the spec says how its answer is found.",
        "nodes:\n  draft: {kind: generate, samples: 4}\n",
        _DRAFT_VOTE.replace("{kind: generate}", "{kind: generate, samples: 4}")
        + "edges:\n  - START -> draft -> vote -> END\n",
        "warning",
    ),
    "TG416": Rule(
        "a join that can never fire",
        "`[a, b] -> c` waits for both nodes, and no run has both: they are on two branches of "
        "which one is chosen, so `c` would never run.",
        _DRAFT_TWO + "edges:\n  - START -> draft\n  - draft -> a: {when: live > 1}\n"
        "  - draft -> b\n  - '[a, b] -> vote -> END'\n",
        _DRAFT_TWO + "edges:\n  - START -> draft\n  - draft -> a: {when: live > 1}\n"
        "  - draft -> b\n  - a -> vote\n  - b -> vote -> END\n",
    ),
    "TG417": Rule(
        "parallel paths of different lengths meet",
        "A node runs whenever one of the nodes before it is done. Where parallel paths of "
        "different lengths meet, it runs more than once, the first time without what the longer "
        "path writes. A join, `[a, b] -> c`, waits for both.",
        _DRAFT_TWO + "edges:\n  - START -> [draft, b]\n  - draft -> a -> vote\n"
        "  - b -> vote -> END\n",
        _DRAFT_TWO + "edges:\n  - START -> [draft, b]\n  - draft -> a\n"
        "  - '[a, b] -> vote -> END'\n",
        "warning",
    ),
    "TG501": Rule(
        "an unknown graph",
        "`use` names a built-in graph, or a file in the spec's folder or below it. A spec can't "
        "reach other files.",
        "nodes:\n  draft: {use: self-consistant}\n",
        "nodes:\n  draft: {use: self-consistency}\n",
    ),
    "TG502": Rule(
        "a graph that uses itself",
        "A graph can't use itself, directly or through other graphs.",
    ),
    "TG503": Rule(
        "an unknown param of a used graph",
        "The used graph has no param of this name.",
        "nodes:\n  draft: {use: self-consistency, params: {smaples: 4}}\n",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 4}}\n",
    ),
    "TG504": Rule(
        "an invalid param of a used graph",
        "The param of the used graph can't have this value.",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 0}}\n",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 4}}\n",
    ),
    "TG505": Rule(
        "a missing param of a used graph",
        "The used graph has a param without a default, and the node gives it no value.",
    ),
    "TG506": Rule(
        "errors in a used graph",
        "The used graph has errors; they are reported at its own file.",
    ),
    "TG507": Rule(
        "an unknown input or channel of a used graph",
        "`inputs` names inputs of the used graph, or `question`; `into` takes fields of its state, "
        "its `answer`, the answer's `text` or its `candidates`.",
        _FACT + "nodes:\n  ask:\n    use: {graph: direct, into: {fact: anwser}}\n" + _USING,
        _FACT + "nodes:\n  ask:\n    use: {graph: direct, into: {fact: answer}}\n" + _USING,
    ),
    "TG508": Rule(
        "a value of another type between two graphs",
        "What a used graph is given, or what comes back from it, has another type than the field "
        "that it goes to.",
        _FACT + "nodes:\n  ask:\n    use: {graph: direct, into: {fact: candidates}}\n" + _USING,
        _FACT + "nodes:\n  ask:\n    use: {graph: direct, into: {fact: text}}\n" + _USING,
    ),
    "TG509": Rule(
        "candidates of another question",
        "A used graph that is given another `question` answers that one, so its candidates can't "
        "join this graph's. Take its answer into a field of the state.",
        _FACT + "nodes:\n  ask:\n    use: {graph: direct, inputs: {question: fact}}\n" + _USING,
        _FACT + "nodes:\n  ask:\n"
        "    use: {graph: direct, inputs: {question: fact}, into: {fact: answer}}\n" + _USING,
    ),
    "TG601": Rule(
        "a tool or a verifier that is not bound",
        "A spec names its tools and verifiers, and whoever runs it binds the names. It is checked "
        "where some are given, as by `thinkgraph check --tools FILE.py`.",
    ),
}
"""Every rule by its code."""
