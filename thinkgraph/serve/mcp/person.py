"""Questions of nodes to the person behind an MCP client, as elicitations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.replies.reply import NoReply, Person

Context = ServerRequestContext[Any, Any]
ELICITATION = types.ClientCapabilities(elicitation=types.ElicitationCapability())
WITHOUT_SESSIONS = "2026-07-28"
"""First protocol version in which a server can't send requests during a call."""
TRIES = 3
"""Maximum number of times to ask, if the node can't understand the replies."""
DECLINED = "the person declined to reply"


def asker(context: Context) -> Person | None:
    """A function that asks the person behind a client; None if the client supports no forms."""
    session = context.session
    if session.protocol_version >= WITHOUT_SESSIONS:
        return None
    if not session.check_client_capability(ELICITATION):
        return None
    wrong = 0

    async def ask(request: Any) -> Any:
        nonlocal wrong
        told = request if isinstance(request, Mapping) else {"ask": str(request)}
        wrong = wrong + 1 if "error" in told else 0
        if wrong >= TRIES:
            raise NoReply("the person's replies can't be understood")
        try:
            result = await session.elicit_form(message(told), form(told), context.request_id)
        except MCPError as error:
            raise RequestError(f"the MCP client didn't ask the person: {error}") from None
        given = {n: v for n, v in (result.content or {}).items() if v is not None and v != ""}
        if result.action != "accept" or not given:
            raise NoReply(DECLINED)
        return reply(told, given)

    return ask


def message(request: Mapping[str, Any]) -> str:
    """The text of a node's question for a person."""
    lines = [str(request["error"])] if "error" in request else []
    if "review" in request:
        lines.append(str(request.get("ask") or f"Which is right? {request['question']}"))
        for each in request["candidates"]:
            lines.append(f"{each['id']} [{each['answer'] or 'no answer'}]\n{each['text'].strip()}")
            lines += [f"critique: {critique['text']}" for critique in each["critiques"]]
    elif "approve" in request:
        given = json.dumps(request["arguments"], ensure_ascii=False, indent=2, default=str)
        lines.append(f"May the tool {request['tool']} be called with these arguments?\n{given}")
    else:
        lines.append(str(request.get("ask") or json.dumps(dict(request), default=str)))
    return "\n\n".join(lines)


def form(request: Mapping[str, Any]) -> types.ElicitRequestedSchema:
    """The schema of the form, a flat object as the protocol requires."""
    if "review" in request:
        ids = [each["id"] for each in request["candidates"]]
        fields = {
            "choose": {"type": "string", "enum": ids, "description": "the candidate"},
            "edit": _text("the chosen candidate's text, written anew"),
            "remark": _text("what is wrong, for a revision"),
            "accept": {"type": "boolean", "description": "accept or reject all"},
        }
        return {"type": "object", "properties": fields}
    if "approve" in request:
        fields = {
            "approve": {"type": "boolean", "description": "whether the call is made"},
            "arguments": _text("other arguments, as a JSON object"),
            "remark": _text("with a refusal: what the model is told"),
        }
        return {"type": "object", "properties": fields, "required": ["approve"]}
    return {"type": "object", "properties": {"reply": _text("your reply")}, "required": ["reply"]}


def reply(request: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Convert a completed form to the reply that the node expects."""
    if "review" in request:
        about_one = {"choose", "edit", "remark"} & {*given}
        # Some clients send all checkboxes, with false for untouched ones.
        return {n: v for n, v in given.items() if n != "accept" or v or not about_one}
    if "approve" not in request:
        return given.get("reply")
    if given.get("approve") is not True:
        return {"remark": given["remark"]} if "remark" in given else False
    if "arguments" not in given:
        return True
    try:
        return {"arguments": json.loads(given["arguments"])}
    except ValueError:
        return {"arguments": given["arguments"]}  # the node refuses it and asks again


def _text(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}
