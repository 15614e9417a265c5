"""A strategy behind AG-UI, for CopilotKit and other programs that speak it.

pip install "thinkgraph[smollm2]" ag-ui-langgraph uvicorn
python examples/ag_ui.py
"""

import uvicorn
from ag_ui_langgraph import LangGraphAgent, add_langgraph_fastapi_endpoint
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver

import thinkgraph as tg

app = FastAPI()
graph = tg.load("direct").compile(InMemorySaver(), model="smollm2")
add_langgraph_fastapi_endpoint(app, LangGraphAgent(name="direct", graph=graph), "/")

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=8000)
