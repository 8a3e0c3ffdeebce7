#!/usr/bin/env bash
# guidellm 0.8.1: `--data kind=otel` replays every trace from time 0 on. One would expect a trace that began three seconds
# after another one to start three seconds after it, as in a Mooncake trace of the same requests: the times of an OTEL
# trace count from its own first span (trace_otel.py, `_build_linear_chain`), those of a Mooncake trace from the first
# request of the file (trace_common.py, `SingleTurnTraceFormat`). So all conversations of a file arrive in one burst.
#
# Seen on Python 3.11:
#   otel: starts at [0.0, 0.0] s
#   mooncake: starts at [0.0, 3.0] s
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q guidellm==0.8.1

cat > "$folder/show.py" <<'PYTHON'
from datasets import Dataset
from faker import Faker
from guidellm.data.deserializers.trace_mooncake import MooncakeTraceFormat
from guidellm.data.deserializers.trace_otel import OTELTraceFormat
from guidellm.schemas.data.deserializers import MooncakeTraceFormatArgs, OTELTraceFormatArgs


class Words:
    """A tokenizer, as far as a prompt of one token needs it."""

    def encode(self, text):
        return text.split()

    def decode(self, tokens, **_):
        return " ".join(tokens)


def span(trace, second):
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]',
    }
    start = f"2026-11-01T10:00:0{second}+00:00"
    return {"trace_id": trace, "span_id": trace, "start_time": start, "duration": 0.1, "attributes": attributes}


def line(second):
    return {"timestamp": float(second), "input_length": 1, "output_length": 1, "hash_ids": [second]}


def show(name, kind, arguments, rows):
    source = {"kind": "json_file", "path": "none.jsonl"}
    trace = kind(arguments(kind=name, source=source), Dataset.from_list(rows))
    graphs = [trace.build_conversation_graph(item, Words(), Faker()) for item in trace]
    starts = [graph.turns[0].columns["relative_timestamp_column"][0] for graph in graphs]
    print(f"{name}: starts at {starts} s")


show("otel", OTELTraceFormat, OTELTraceFormatArgs, [span("a", 0), span("b", 3)])
show("mooncake", MooncakeTraceFormat, MooncakeTraceFormatArgs, [line(0), line(3)])
PYTHON

seen=$(HF_HUB_OFFLINE=1 "$folder/venv/bin/python" -W ignore "$folder/show.py" 2> /dev/null)
printf '%s\n' "$seen"
[ "$seen" = $'otel: starts at [0.0, 0.0] s\nmooncake: starts at [0.0, 3.0] s' ]
