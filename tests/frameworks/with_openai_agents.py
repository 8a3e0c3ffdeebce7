# /// script
# dependencies = ["openai-agents"]
# ///
