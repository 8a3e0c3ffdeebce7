"""What is read of the SDK's request options."""

from __future__ import annotations

import types

import openai
from ways import DEAD

from inferencereplay.sdk import private


def test_a_parameter_that_was_not_given_is_no_part_of_the_query():
    """As the SDK sends it."""
    with openai.OpenAI(api_key="test-key", base_url=DEAD) as client:
        assert private.read_query(client, {"after": openai.NOT_GIVEN, "limit": 2}) == {"limit": "2"}


def test_bytes_are_not_kept_of_a_live_call():
    """Other bodies are, for the session's log."""
    options = types.SimpleNamespace(**dict.fromkeys(private.OptionsRead.__struct_fields__))
    for body, kept in ((b"sound", None), ({"model": "m"}, {"model": "m"})):
        options.json_data = body
        assert private.without_files(options).json_data == kept
