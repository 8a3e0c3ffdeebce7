# /// script
# dependencies = ["langsmith"]
# ///
"""langsmith: the runs of a client that `wrap_openai` has wrapped, and the orders in which it and we come and go."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import instrumentors
import requests
from harness import Suite
from langsmith import Client
from langsmith.wrappers import wrap_openai
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from instrumentors import Clients

suite = Suite("langsmith")
os.environ["LANGSMITH_TRACING"] = "true"
TOLD = ("name", "run_type", "inputs", "outputs", "error", "tags", "extra", "events")


class Ingestion(BaseAdapter):
    """Takes the place of langsmith's server in the same process: a run is posted when it begins, patched at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, dict[str, Any]] = {}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        body = json.loads(request.body or b"{}")
        run = self.runs.setdefault(body.get("id") or str(request.url).rpartition("/")[2], {})
        run.update({name: value for name, value in body.items() if value is not None})
        response = requests.Response()
        response.status_code, response.url, response.request = 202, str(request.url), request
        response._content = b"{}"
        return response

    def close(self) -> None:
        """Have nothing to close."""


class Instrumentor:
    """Wraps the methods of one client's resources, in the client itself."""

    def __init__(self) -> None:
        self._ingestion = Ingestion()
        session = requests.Session()
        session.mount("https://langsmith.invalid", self._ingestion)
        options: dict[str, Any] = {"api_key": "key", "session": session, "auto_batch_tracing": False, "info": {}}
        self._client = Client("https://langsmith.invalid", **options)

    def put_on(self, clients: Clients) -> None:
        for client in clients:
            wrap_openai(client, tracing_extra={"client": self._client})

    def take_off(self, clients: Clients) -> None:
        # It has no way to do this; a client that was not wrapped is what one gets without it.
        for client in clients:
            for part in (client.chat.completions, client.completions, client.beta.chat.completions, client.responses):
                for name in ("create", "parse"):
                    vars(part).pop(name, None)

    def traced(self) -> list[Any]:
        runs, self._ingestion.runs = self._ingestion.runs, {}
        return [told(run) for run in runs.values()]


def told(run: dict[str, Any]) -> Any:
    """Return what a run tells, without its times and ids."""
    shown = {name: run[name] for name in TOLD if name in run}
    for event in shown.get("events") or ():
        event.pop("time", None)
    if "error" in shown:  # its traceback tells of the code and not of the call
        shown["error"] = shown["error"].partition("\n")[0]
    return shown


instrumentors.add(suite, Instrumentor(), untraced="embeddings")
suite.main()
