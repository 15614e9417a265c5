"""The rules of the checker: every code, what it means, a bad example and its mend.

Codes never change their meaning and are never used again. The first digit tells the concern:
0 the file, 1 the form, 2 names, 3 conditions, 4 the paths through the graph, 5 used graphs.
"""

from __future__ import annotations

from typing import NamedTuple

from thinkgraph.graphs.language.problem import Location, Problem, Severity

HEAD = "thinkgraph: 1\nname: example\n"
NODES = "nodes:\n  draft: {kind: generate}\n"
EDGES = "edges:\n  - START -> draft -> END\n"


class Rule(NamedTuple):
    """One thing that the checker finds.

    Attributes:
        title: what it is, in a few words.
        why: why it is wrong.
        bad: the smallest spec that has it, without the sections that don't matter; empty where
            no text can show it.
        good: the same, mended.
        whole: whether ``bad`` is all of a file as it stands.
    """

    title: str
    why: str
    bad: str = ""
    good: str = ""
    severity: Severity = "error"
    whole: bool = False

    def file(self, example: str) -> str:
        """An example as a whole file: with the head, nodes and edges that it leaves out."""
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
    """A problem with a rule's severity."""
    return Problem(
        code=code,
        severity=RULES[code].severity,
        message=message,
        hint=hint,
        **location._asdict(),
    )


_DRAFT_VOTE = "nodes:\n  draft: {kind: generate}\n  vote: {kind: vote}\n"
_REFINE = (
    "nodes:\n  draft: {kind: generate}\n  critic: {kind: critique}\n  revise: {kind: revise}\n"
)

RULES: dict[str, Rule] = {
    "TG001": Rule(
        "the file can't be read",
        "There is no such file, or it is a folder, or it may not be read.",
    ),
    "TG002": Rule(
        "the file is too long",
        "A spec has at most 128 KiB. The longest built-in graph has three.",
    ),
    "TG003": Rule("the file is not UTF-8", "A spec is text in UTF-8, with or without a BOM."),
    "TG004": Rule(
        "this is not YAML",
        "The text can't be read as YAML 1.2 (or JSON), so nothing after this place was looked at.",
        "about: solves: everything\n",
        'about: "solves: everything"\n',
    ),
    "TG005": Rule(
        "the file is not a graph",
        "A graph is a mapping of fields to values. This file is empty, or is something else.",
        "- START -> draft\n",
        f"{HEAD}{NODES}{EDGES}",
        whole=True,
    ),
    "TG006": Rule(
        "a second document",
        "A file holds one graph. YAML begins another document at `---`.",
        f"{HEAD}{NODES}{EDGES}---\nname: another\n",
        f"{HEAD}{NODES}{EDGES}",
        whole=True,
    ),
    "TG007": Rule(
        "the same field twice",
        "Of two fields of one name YAML would silently keep one.",
        "nodes:\n  draft: {kind: generate}\n  draft: {kind: vote}\n",
        "nodes:\n  draft: {kind: generate}\n",
    ),
    "TG008": Rule(
        "an anchor or alias",
        "A few aliases can stand for gigabytes, so there are none. A param serves most uses: "
        "several nodes may refer to one.",
        "nodes:\n  draft: {kind: generate, samples: &n 4, top_k: *n}\n",
        "params:\n  n: 4\nnodes:\n  draft: {kind: generate, samples: $n, top_k: $n}\n",
    ),
    "TG009": Rule(
        "nested too deep",
        "Collections nest at most 32 deep.",
        f"about: {'[' * 40}{']' * 40}\n",
        "about: a text\n",
    ),
    "TG010": Rule(
        "a key that is not a valid name",
        "A field's name is plain text: no list, no mapping, no tag.",
        "? [draft, vote]\n: {kind: generate}\n",
        NODES,
    ),
    "TG011": Rule(
        "a tag",
        "YAML takes a word that begins with an exclamation mark for a tag, and the condition "
        "behind it would be lost. Put it in quotes.",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        "  - critic -> revise:\n      when: !accepted\n      at_most: 2\n"
        "  - critic -> END\n  - revise -> critic\n",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        '  - critic -> revise:\n      when: "!accepted"\n      at_most: 2\n'
        "  - critic -> END\n  - revise -> critic\n",
    ),
    "TG012": Rule(
        "a number that doesn't fit",
        "Whole numbers fit in 64 bits, and the others are finite.",
        "nodes:\n  draft: {kind: generate, temperature: .inf}\n",
        "nodes:\n  draft: {kind: generate, temperature: 1.5}\n",
    ),
    "TG101": Rule(
        "an unknown field",
        "There is no such field or setting here; it would have no effect.",
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
        "A value of another type is wanted. Text in quotes is never taken for a number.",
        'nodes:\n  draft: {kind: generate, samples: "4"}\n',
        "nodes:\n  draft: {kind: generate, samples: 4}\n",
    ),
    "TG104": Rule(
        "out of range",
        "The value is too small or too large, or there is too little or too much of it.",
        "nodes:\n  draft: {kind: generate, top_p: 1.5}\n",
        "nodes:\n  draft: {kind: generate, top_p: 0.95}\n",
    ),
    "TG105": Rule(
        "none of the choices",
        "The value is one of a few words, and this is none of them.",
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
        "a param at odds with itself",
        "A param's default and choices are of its type and within its range, and it has a "
        "default or a type.",
        "params:\n  n: {default: 0, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: {default: 1, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
    ),
    "TG108": Rule(
        "neither a kind nor a use",
        "A node has a `kind`, or it uses another graph with `use` and its `params`.",
        "nodes:\n  draft: {prompt: question}\n",
        "nodes:\n  draft: {kind: generate, prompt: question}\n",
    ),
    "TG109": Rule(
        "not a chain",
        "An edge is a chain of nodes such as `START -> draft -> [a, b] -> END`. With a condition "
        "it is one arrow from one node to one node.",
        "edges:\n  - START, draft, END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG110": Rule(
        "not a template",
        "A prompt's text is a Jinja template, and this one can't be read.",
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question"}}\n',
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }}"}}\n',
    ),
    "TG111": Rule(
        "a value that is refused",
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
    "TG201": Rule(
        "an unknown kind",
        "There is no node kind of this name, neither built in nor from an installed package.",
        "nodes:\n  draft: {kind: generat}\n",
        "nodes:\n  draft: {kind: generate}\n",
    ),
    "TG202": Rule(
        "an unknown param",
        "`$name` stands for the value of a param, and the spec has none of this name.",
        "nodes:\n  draft: {kind: generate, samples: $samples}\n",
        "params:\n  samples: 4\nnodes:\n  draft: {kind: generate, samples: $samples}\n",
    ),
    "TG203": Rule(
        "an unknown prompt",
        "A prompt is the name of a built-in one, or a mapping with the field `user`.",
        "nodes:\n  draft: {kind: generate, prompt: stepbystep}\n",
        "nodes:\n  draft: {kind: generate, prompt: step-by-step}\n",
    ),
    "TG204": Rule(
        "an unknown extractor",
        "There is no extractor of this name.",
        "nodes:\n  draft: {kind: generate, extract: nubmer}\n",
        "nodes:\n  draft: {kind: generate, extract: number}\n",
    ),
    "TG205": Rule(
        "an unknown node",
        "An edge names a node that isn't there.",
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
        "a node's name is taken",
        "A node can't have the name of a channel or a field of the state, nor of START, END and "
        "`conclude`, which a compiled graph adds.",
        "nodes:\n  answer: {kind: generate}\nedges:\n  - START -> answer -> END\n",
        "nodes:\n  reply: {kind: generate}\nedges:\n  - START -> reply -> END\n",
    ),
    "TG208": Rule(
        "a field's name is taken",
        "Params and inputs are set by keyword when a graph runs, and conditions and templates "
        "name them; so they can't have the name of a run's own settings, of a channel, of what "
        "conditions know already, of each other, or a word of CEL or Python.",
        "params:\n  seed: 4\nnodes:\n  draft: {kind: generate, samples: $seed}\n",
        "params:\n  drafts: 4\nnodes:\n  draft: {kind: generate, samples: $drafts}\n",
    ),
    "TG209": Rule(
        "an unknown template variable",
        "A template may name the question, the round, the params, inputs and state of the spec, "
        "and what the node's kind supplies. Nothing supplies this.",
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ qestion }}"}}\n',
        'nodes:\n  draft: {kind: generate, prompt: {user: "{{ question }}"}}\n',
    ),
    "TG210": Rule(
        "a param that doesn't fit its use",
        "The param's default, or one of its choices, is none that this setting can have.",
        "params:\n  n: 0\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: 1\nnodes:\n  draft: {kind: generate, samples: $n}\n",
    ),
    "TG211": Rule(
        "a param's range is too wide for its use",
        "The param's range holds values that this setting refuses; who sets one gets an error "
        "when the graph runs.",
        "params:\n  n: {default: 1, minimum: 0}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "params:\n  n: {default: 1, minimum: 1}\nnodes:\n  draft: {kind: generate, samples: $n}\n",
        "warning",
    ),
    "TG212": Rule(
        "an unused param",
        "No setting, edge, condition or prompt names the param; setting it would change nothing.",
        "params:\n  samples: 4\n",
        "params:\n  samples: 4\nnodes:\n  draft: {kind: generate, samples: $samples}\n",
        "warning",
    ),
    "TG213": Rule(
        "an unused input or field of the state",
        "No condition or prompt names it, and no node reads or writes it.",
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
    "TG301": Rule(
        "a condition that doesn't parse",
        "Conditions are written in CEL: `!x`, `x && y`, `x || y`, `==`, and params without `$`.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: not accepted}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        '  - draft -> vote: {when: "!accepted"}\n  - draft -> END\n  - vote -> END\n',
    ),
    "TG302": Rule(
        "a condition names what isn't there",
        "A condition may name the round, the params, inputs and state of the spec, and what "
        "every state offers, such as `accepted`, `agreement` and `live`.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: acepted}\n  - draft -> END\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: accepted}\n  - draft -> END\n  - vote -> END\n",
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
    "TG401": Rule(
        "a node that can't be reached",
        "No path leads from START to this node, so it never runs.",
        _DRAFT_VOTE,
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG402": Rule(
        "a node that can't reach END",
        "No path leads from this node to END, so a run that comes here has no result.",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> [vote, END]\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG403": Rule(
        "a loop without a bound",
        "A run must end whatever a model says, so one edge of every loop says how often it may "
        "be followed.",
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        '  - critic -> revise: {when: "!accepted"}\n  - critic -> END\n  - revise -> critic\n',
        _REFINE + "edges:\n  - START -> draft -> critic\n"
        '  - critic -> revise: {when: "!accepted", at_most: 2}\n'
        "  - critic -> END\n  - revise -> critic\n",
    ),
    "TG404": Rule(
        "two nodes write one channel side by side",
        "Of two values written at the same time to a channel that holds one, the last wins, and "
        "which is last is chance.",
        "nodes:\n  draft: {kind: generate}\n  loose: {kind: vote, tolerance: 0.1}\n"
        "  exact: {kind: vote}\nedges:\n  - START -> draft -> [loose, exact] -> END\n",
        "nodes:\n  draft: {kind: generate}\n  exact: {kind: vote}\n"
        "edges:\n  - START -> draft -> exact -> END\n",
    ),
    "TG405": Rule(
        "read before it is written",
        "On some path, nothing that the node needs has been written when it runs.",
        _DRAFT_VOTE + "edges:\n  - START -> vote -> draft -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG406": Rule(
        "a vote over free text",
        "Majority voting needs short comparable answers: no two free texts are the same, so each "
        "would get one vote. Extract an answer, use `choose`, or score the texts and select the "
        "best. Completions of at most 32 tokens, or held to a grammar or JSON schema, are taken "
        "to be short enough.",
        "nodes:\n  draft: {kind: generate, samples: 4, extract: text}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
        "nodes:\n  draft: {kind: generate, samples: 4, extract: number}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG407": Rule(
        "no way on",
        "Every edge from this node has a condition or a bound; where none of them can be "
        "followed the run would stop without a result.",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG408": Rule(
        "an edge that is never tried",
        "The edges of a node are tried in order, and one without a condition is always followed; "
        "a condition behind it is not looked at.",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> END\n"
        "  - draft -> vote: {when: live > 1}\n  - vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft\n"
        "  - draft -> vote: {when: live > 1}\n  - draft -> END\n  - vote -> END\n",
    ),
    "TG409": Rule(
        "the same edge twice",
        "The second edge changes nothing.",
        "edges:\n  - START -> draft -> END\n  - draft -> END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG410": Rule(
        "a condition at START",
        "When a run begins there is no state to judge, so the edges from START are always "
        "followed.",
        _DRAFT_VOTE + "edges:\n  - START -> draft: {when: live > 1}\n  - draft -> vote -> END\n",
        _DRAFT_VOTE + "edges:\n  - START -> draft -> vote -> END\n",
    ),
    "TG411": Rule(
        "a join with a node that decides",
        "`[a, b] -> c` waits for both. A node that decides where to go may go elsewhere, and "
        "then the join would wait for ever.",
        "nodes:\n  a: {kind: generate}\n  b: {kind: generate}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> [a, b]\n  - a -> END: {when: live > 8}\n"
        "  - '[a, b] -> vote -> END'\n",
        "nodes:\n  a: {kind: generate}\n  b: {kind: generate}\n  vote: {kind: vote}\n"
        "edges:\n  - START -> [a, b] -> vote -> END\n",
    ),
    "TG412": Rule(
        "START or END in the wrong place",
        "A run begins at START once and is over at END; neither waits for other nodes.",
        "edges:\n  - START -> draft -> END -> draft\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG413": Rule(
        "no beginning",
        "No edge leads from START, so nothing would ever run.",
        "edges:\n  - draft -> END\n",
        "edges:\n  - START -> draft -> END\n",
    ),
    "TG414": Rule(
        "a stop that its vote doesn't allow",
        "`until: decided` cancels samples once they can't change a vote that counts one each, "
        "compares exactly and takes the mode. A vote with other weights, a tolerance or the "
        "median could still be changed by them. Where params make it so when the graph runs, "
        "the answer's note says whether they might have.",
        "nodes:\n  draft: {kind: generate, samples: 8, until: decided}\n"
        "  vote: {kind: vote, by: logprob}\nedges:\n  - START -> draft -> vote -> END\n",
        "nodes:\n  draft: {kind: generate, samples: 8}\n  vote: {kind: vote, by: logprob}\n"
        "edges:\n  - START -> draft -> vote -> END\n",
        "warning",
    ),
    "TG501": Rule(
        "an unknown graph",
        "`use` names a built-in graph, or a file in the spec's own folder or below it. A spec "
        "from elsewhere can't reach other files.",
        "nodes:\n  draft: {use: self-consistant}\n",
        "nodes:\n  draft: {use: self-consistency}\n",
    ),
    "TG502": Rule(
        "a graph that uses itself",
        "A graph can't use itself, neither at once nor through others.",
    ),
    "TG503": Rule(
        "an unknown param of a used graph",
        "The graph that the node uses has no param of this name.",
        "nodes:\n  draft: {use: self-consistency, params: {smaples: 4}}\n",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 4}}\n",
    ),
    "TG504": Rule(
        "a value that a used graph refuses",
        "The param of the graph that the node uses can't have this value.",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 0}}\n",
        "nodes:\n  draft: {use: self-consistency, params: {samples: 4}}\n",
    ),
    "TG505": Rule(
        "a used graph lacks a param",
        "The graph that the node uses has a param without a default, and gets no value for it.",
    ),
    "TG506": Rule(
        "errors in a used graph",
        "The graph that the node uses has errors; they are reported with its own file.",
    ),
}
"""Every rule by its code."""
